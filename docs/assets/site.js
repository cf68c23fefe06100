// Long names in code, such as those of metrics, may break after `_`, `.` and `/`: a browser by itself breaks none there.
// Nothing is added to the text: what is copied is the name. Blocks of code scroll, so they are left alone.
for (const code of document.querySelectorAll("article code")) {
  if (code.closest("pre")) continue;
  const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  for (const text of [...(function* () { while (texts.nextNode()) yield texts.currentNode; })()]) {
    const parts = text.data.split(/(?<=[_./])(?=[A-Za-z0-9{<[])/);
    text.replaceWith(...parts.flatMap((part, index) => index ? [document.createElement("wbr"), part] : [part]));
  }
}
