// XML as text, and what a fault says.

const ESCAPES = {"&": "&amp;", "<": "&lt;", '"': "&quot;"};
const XML_LANG = "http://www.w3.org/XML/1998/namespace";

/** Returns the root of a document. */
export function parse(text) {
  return new DOMParser().parseFromString(text, "text/xml").documentElement;
}

/** Returns an element as text. Its children are indented, unless there is text between them. */
export function pretty(node, depth = 0) {
  const pad = "  ".repeat(depth);
  const escaped = (value) => value.replace(/[&<"]/g, (character) => ESCAPES[character]);
  const attributes = [...node.attributes].map(({name, value}) => ` ${name}="${escaped(value)}"`).join("");
  const hasText = [...node.childNodes].some((each) => each.nodeType !== Node.ELEMENT_NODE && each.textContent.trim());
  if (hasText || !node.children.length) {
    const text = node.innerHTML;
    return `${pad}<${node.nodeName}${attributes}${text ? `>${text}</${node.nodeName}>` : "/>"}\n`;
  }
  const inner = [...node.children].map((child) => pretty(child, depth + 1)).join("");
  return `${pad}<${node.nodeName}${attributes}>\n${inner}${pad}</${node.nodeName}>\n`;
}

/** Returns the first element of this local name, undefined if there is none. */
export function find(node, name) {
  return node.getElementsByTagNameNS("*", name)[0];
}

/** Returns a fault's code, reason and the fields of its detail, each with its text (SOAP 1.2, 5.4; SOAP 1.1, 4.4). */
export function faultOf(root, language) {
  const fault = find(root, "Fault");
  if (!fault) return null;
  const code = [...fault.getElementsByTagNameNS("*", "Value")].map(textOf).join(" / ");
  const reasons = [...fault.getElementsByTagNameNS("*", "Text")];
  const own = reasons.find((each) => each.getAttributeNS(XML_LANG, "lang")?.startsWith(language)) ?? reasons[0];
  const detail = find(fault, "Detail") ?? find(fault, "detail");
  return {
    code: code || textOf(find(fault, "faultcode")),
    reason: textOf(own ?? find(fault, "faultstring")),
    detail: detail ? leaves(detail) : [],
  };
}

function textOf(node) {
  return node?.textContent.trim() ?? "";
}

function leaves(node) {
  const found = [...node.getElementsByTagName("*")].filter((each) => !each.children.length);
  return found.map((each) => [each.localName, textOf(each)]);
}
