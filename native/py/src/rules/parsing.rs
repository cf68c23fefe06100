//! A text as an expression that is safe to evaluate: neither long nor deep.
//!
//! The parser is the crate's second one, written by hand. Its first, which ANTLR generates, takes 100 KiB of stack for each
//! level where it is not optimised, which ends the process at a text of 90 brackets, and builds tables for each process.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::parser::PrattParser;

/// Bytes of a rule; the longest that there is has 1,270.
const MAX_TEXT: usize = 2048;
/// Lists, maps and calls within each other.
const MAX_NESTING: u16 = 48;
/// Levels of an expression: evaluation and release go down by recursion. No rule that there is has half as many.
const MAX_DEPTH: usize = 128;

/// Read a text, or say what is wrong with it.
pub fn parse(text: &str) -> Result<IdedExpr, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it has {} bytes; {MAX_TEXT} is the limit", text.len()));
    }
    let parser = PrattParser::new().max_recursion_depth(MAX_NESTING);
    let expression = parser.parse(text).map_err(|found| format!("it is no CEL: {found}"))?;
    if depth_of(&expression) > MAX_DEPTH {
        return Err(format!("it has more than {MAX_DEPTH} levels"));
    }
    Ok(expression)
}

/// How deep an expression is; without recursion.
fn depth_of(expression: &IdedExpr) -> usize {
    let mut deepest = 0;
    let mut left = vec![(expression, 1)];
    while let Some((expression, depth)) = left.pop() {
        deepest = deepest.max(depth);
        left.extend(below(&expression.expr).into_iter().map(|each| (each, depth + 1)));
    }
    deepest
}

fn below(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| within(&entry.expr)).collect(),
        Expr::Struct(item) => item.entries.iter().flat_map(|entry| within(&entry.expr)).collect(),
    }
}

fn within(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
