// Makes elements of a page.

/** A new element with these properties and children. Text is text, never markup. */
export function create(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
