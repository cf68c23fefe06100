//! From the text of an expression to its tokens (CEL, "Syntax").

use super::CompileError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// Without its sign.
    Int(u64),
    Double(f64),
    Text(String),
    Sign(&'static str),
    End,
}

/// A token, and the byte where it begins.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub token: Token,
    pub at: usize,
}

/// Longer ones first.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "[", "]", "{", "}",
    "(", ")", "=",
];

/// # Errors
/// Where the text is none that CEL knows, or none of the part of CEL that is taken here.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, CompileError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_space();
        let at = lexer.at;
        let token = lexer.token()?;
        let is_end = token == Token::End;
        found.push(Placed { token, at });
        if is_end {
            return Ok(found);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error(&self, message: impl Into<String>) -> CompileError {
        CompileError::at(self.at, message)
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self) -> Result<Token, CompileError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            '0'..='9' => self.number(),
            '"' | '\'' => self.quoted(false),
            'r' | 'R' if rest[1..].starts_with(['"', '\'']) => {
                self.at += 1;
                self.quoted(true)
            }
            'b' | 'B' if rest[1..].starts_with(['"', '\'']) => Err(self.error("bytes are not supported, only texts")),
            'a'..='z' | 'A'..='Z' | '_' => {
                let is_part = |it: char| it == '_' || it.is_ascii_alphanumeric();
                let name = &rest[..rest.find(|it| !is_part(it)).unwrap_or(rest.len())];
                self.at += name.len();
                Ok(Token::Name(name.to_owned()))
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| self.error(format!("{first:?} has no meaning here")))?;
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
        }
    }

    fn number(&mut self) -> Result<Token, CompileError> {
        let rest = self.rest();
        let digits = |text: &str| text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (token, length) = if let Some(hexadecimal) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = hexadecimal.find(|it: char| !it.is_ascii_hexdigit()).unwrap_or(hexadecimal.len());
            (u64::from_str_radix(&hexadecimal[..length], 16).ok().map(Token::Int), length + 2)
        } else {
            let mut length = digits(rest);
            let mut is_double = false;
            if rest[length..].starts_with('.') && digits(&rest[length + 1..]) > 0 {
                is_double = true;
                length += 1 + digits(&rest[length + 1..]);
            }
            if let Some(exponent) = rest[length..].strip_prefix(['e', 'E']) {
                let sign = usize::from(exponent.starts_with(['+', '-']));
                let power = digits(&exponent[sign..]);
                if power > 0 {
                    is_double = true;
                    length += 1 + sign + power;
                }
            }
            let written = &rest[..length];
            let token = if is_double {
                written.parse().ok().filter(|it: &f64| it.is_finite()).map(Token::Double)
            } else {
                written.parse().ok().map(Token::Int)
            };
            (token, length)
        };
        let token = token.ok_or_else(|| self.error("the number is out of range, or none"))?;
        let behind = rest[length..].chars().next();
        if behind.is_some_and(|it| it == '_' || it.is_ascii_alphanumeric()) {
            return Err(self.error("a number ends before a letter; unsigned numbers are not supported"));
        }
        self.at += length;
        Ok(token)
    }

    /// A text in quotes; `raw`: without escapes.
    fn quoted(&mut self, raw: bool) -> Result<Token, CompileError> {
        let rest = self.rest();
        let quote = if rest.starts_with('"') { '"' } else { '\'' };
        if rest.starts_with("\"\"\"") || rest.starts_with("'''") {
            return Err(self.error("texts in three quotes are not supported"));
        }
        let mut text = String::new();
        let mut characters = rest[1..].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.at += 1 + place + 1;
                    return Ok(Token::Text(text));
                }
                '\n' | '\r' => break,
                '\\' if !raw => {
                    let (written, length) =
                        escape(&rest[1 + place + 1..]).ok_or_else(|| self.error("an escape in the text is none"))?;
                    text.push(written);
                    for _ in 0..length {
                        characters.next();
                    }
                }
                _ => text.push(character),
            }
        }
        Err(self.error("the text has no closing quote on its line"))
    }
}

/// What an escape stands for, and how many characters it has behind its backslash.
fn escape(rest: &str) -> Option<(char, usize)> {
    let coded = |length: usize, digits: &str, radix: u32| {
        let all = digits.get(..length).filter(|it| it.chars().all(|digit| digit.is_digit(radix)))?;
        char::from_u32(u32::from_str_radix(all, radix).ok()?)
    };
    let first = rest.chars().next()?;
    Some(match first {
        'a' => ('\x07', 1),
        'b' => ('\x08', 1),
        'f' => ('\x0c', 1),
        'n' => ('\n', 1),
        'r' => ('\r', 1),
        't' => ('\t', 1),
        'v' => ('\x0b', 1),
        '\\' | '\'' | '"' | '`' | '?' => (first, 1),
        'x' | 'X' => (coded(2, &rest[1..], 16)?, 3),
        'u' => (coded(4, &rest[1..], 16)?, 5),
        'U' => (coded(8, &rest[1..], 16)?, 9),
        '0'..='3' => (coded(3, rest, 8)?, 3),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Token, tokens};

    fn read(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|it| it.token).collect()
    }

    #[test]
    fn every_kind() {
        assert_eq!(
            read("a_1.b<=0x1F+1.5e-3 // the rest\n\"x\\n\\u00e9\" r'\\d'"),
            [
                Token::Name("a_1".to_owned()),
                Token::Sign("."),
                Token::Name("b".to_owned()),
                Token::Sign("<="),
                Token::Int(31),
                Token::Sign("+"),
                Token::Double(0.0015),
                Token::Text("x\n\u{e9}".to_owned()),
                Token::Text("\\d".to_owned()),
                Token::End,
            ]
        );
    }

    #[test]
    fn refused() {
        for text in [
            "'a",
            "'a\nb'",
            "'\\q'",
            "'\\ud800'",
            "'\\x4'",
            "b'a'",
            "'''a'''",
            "1u",
            "1a",
            "18446744073709551616",
            "1e999",
            "#",
            "0x",
            "\u{e9}",
        ] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }
}
