// Morphing makes shown nodes equal to new ones and changes only the differences. Selections and layout stay.

/** Make the children of `parent`, from index `from` on, equal to those of `fragment`, which is emptied. */
export function morphChildren(parent, fragment, from = 0) {
  let shown = parent.childNodes[from] ?? null;
  for (const wanted of [...fragment.childNodes]) {
    const next = shown?.nextSibling ?? null;
    if (shown === null) parent.append(wanted);
    else morph(shown, wanted);
    shown = next;
  }
  while (shown !== null) {
    const next = shown.nextSibling;
    shown.remove();
    shown = next;
  }
}

function morph(shown, wanted) {
  if (shown.nodeType === Node.TEXT_NODE && wanted.nodeType === Node.TEXT_NODE) {
    if (wanted.data.startsWith(shown.data)) shown.appendData(wanted.data.slice(shown.data.length));
    else shown.data = wanted.data;
  } else if (shown.nodeType !== Node.ELEMENT_NODE || shown.nodeName !== wanted.nodeName) {
    shown.replaceWith(wanted);
  } else {
    for (const { name } of [...shown.attributes]) if (!wanted.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of wanted.attributes) {
      if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
    }
    morphChildren(shown, wanted);
  }
}
