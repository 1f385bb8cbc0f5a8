// Markdown to nodes. A model's output is hostile, so it never becomes HTML: each token of the parser becomes an element from
// a list of allowed ones, and text becomes a text node. So nothing needs to be sanitized.

import MarkdownIt from "./vendor/markdown-it.js";

// What is nested deeper than that is left out. HTML is text. Only what says "https://" becomes a link by itself.
const parser = new MarkdownIt({ html: false, linkify: true, maxNesting: 60 });
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
parser.validateLink = (address) => isOutside(address);

const ELEMENTS = new Set(
  "p blockquote ul ol li hr table thead tbody tr th td strong em s h1 h2 h3 h4 h5 h6".split(" "),
);
const ALIGNMENTS = /^text-align:(left|center|right)$/;

/** The tokens of a text; `environment` carries link definitions from one part of an answer to the next. */
export function parse(text, environment) {
  return parser.parse(text, environment);
}

/** The nodes of these tokens. */
export function nodesOf(tokens) {
  const fragment = document.createDocumentFragment();
  append(fragment, tokens);
  return fragment;
}

/** Whether a link may be followed: to another host, or to mail. A GET of this server can cost money. */
export function isOutside(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return false; // a relative link leads to this server
  }
  return url.protocol === "mailto:" || (/^https?:$/.test(url.protocol) && url.host !== location.host);
}

function append(parent, tokens) {
  const open = [parent];
  for (const token of tokens) {
    const into = open.at(-1);
    if (token.type === "inline") append(into, token.children);
    else if (token.hidden) continue;
    else if (token.nesting === 0) into.append(leaf(token));
    else if (token.nesting === -1) open.pop();
    else {
      const made = element(token);
      into.append(token.type === "table_open" ? scrolled("div", made, "Table") : made);
      open.push(made);
    }
  }
}

function leaf(token) {
  switch (token.type) {
    case "softbreak":
      return document.createTextNode("\n");
    case "hardbreak":
      return document.createElement("br");
    case "hr":
      return document.createElement("hr");
    case "code_inline":
      return withText("code", token.content);
    case "fence":
    case "code_block":
      return scrolled("pre", withText("code", token.content.replace(/\n$/, "")), "Code");
    case "image":
      return image(token);
    default:
      return document.createTextNode(token.content);
  }
}

function element(token) {
  if (token.type === "link_open") return link(token.attrGet("href"));
  if (!ELEMENTS.has(token.tag)) return document.createElement("span");
  // Above an answer's headings the page has two levels of its own.
  const heading = /^h([1-6])$/.exec(token.tag);
  const made = document.createElement(heading ? `h${Math.min(Number(heading[1]) + 2, 6)}` : token.tag);
  if (token.tag === "ol") made.start = Number(token.attrGet("start") ?? 1);
  const alignment = ALIGNMENTS.exec(token.attrGet("style") ?? "");
  if (alignment) made.dataset.align = alignment[1];
  if (token.tag === "th") made.scope = "col";
  return made;
}

function link(address) {
  if (!isOutside(address ?? "")) return document.createElement("span");
  const made = document.createElement("a");
  made.href = address;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  made.title = made.href; // the true address
  return made;
}

/** Pictures are not loaded: the request would show the reader to a host, and may contain parts of the conversation. */
function image(token) {
  const made = link(token.attrGet("src"));
  made.classList.add("picture");
  made.append(`Picture: ${token.content || "without a name"}`);
  return made;
}

/** An element that may be wider than the page scrolls by itself, by keyboard too. */
function scrolled(name, inner, title) {
  const made = document.createElement(name);
  made.className = "scrolled";
  made.tabIndex = 0;
  made.setAttribute("role", "region");
  made.setAttribute("aria-label", title);
  made.append(inner);
  return made;
}

function withText(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
