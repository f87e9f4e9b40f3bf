// Where a JSON text is wrong, and what should stand there: browsers do not agree on telling that.
const SPACE = /[ \t\n\r]*/y;
const LITERAL = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*"/y;

class Fault extends Error {
  constructor(at, expected) {
    super(expected);
    this.at = at;
  }
}

/** The first fault of `text` in words, e.g. "Line 2, column 9: a value is expected." Empty: there is none. */
export function fault(text) {
  try {
    const end = value(text, skip(text, 0));
    if (end < text.length) throw new Fault(end, "nothing is expected after the end");
    return "";
  } catch (found) {
    if (!(found instanceof Fault)) throw found;
    const lines = text.slice(0, found.at).split("\n");
    return `Line ${lines.length}, column ${lines.at(-1).length + 1}: ${found.message}.`;
  }
}

function value(text, at) {
  if (text[at] === "{") return items(text, at, "}", (inner) => value(text, expect(text, name(text, inner), ":", "after the name")));
  if (text[at] === "[") return items(text, at, "]", (inner) => value(text, inner));
  if (text[at] === '"') return string(text, at);
  return match(LITERAL, text, at) ?? fail(at, "a value is expected (text stands in double quotes)");
}

function items(text, at, close, item) {
  let next = skip(text, at + 1);
  if (text[next] === close) return skip(text, next + 1);
  for (;;) {
    next = item(next);
    if (text[next] === close) return skip(text, next + 1);
    next = expect(text, next, ",", `or ${close}`);
  }
}

function name(text, at) {
  return text[at] === '"' ? string(text, at) : fail(at, "a name in double quotes is expected");
}

function string(text, at) {
  return match(STRING, text, at) ?? fail(at, "this text is not closed, or holds a character that must be escaped");
}

function expect(text, at, mark, more) {
  return text[at] === mark ? skip(text, at + 1) : fail(at, `${mark} ${more} is expected`);
}

function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? skip(text, pattern.lastIndex) : null;
}

function skip(text, at) {
  SPACE.lastIndex = at;
  SPACE.test(text);
  return SPACE.lastIndex;
}

function fail(at, expected) {
  throw new Fault(at, expected);
}
