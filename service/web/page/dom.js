// Elements: found by id, and made without any markup in text, so that nothing from outside can become markup.

export function byId(id) {
  return document.getElementById(id);
}

/** A new element; properties are those of the DOM, data-* and aria-* attributes. Children are elements and texts. */
export function make(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** Shows the text in an element that is hidden where there is none; the same text again is left alone. */
export function say(element, text) {
  element.hidden = !text; // first: a screen reader hears only what changes in sight
  if (element.textContent !== text) element.textContent = text;
}
