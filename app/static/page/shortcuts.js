// Shortcuts: what keys do. Those of a single key can be switched off (WCAG 2.1.4), and are silent in fields and dialogs.

export class Shortcuts {
  isSingleOn = true;

  /**
   * Each maps a key to what it does. None is asked in dialogs; those of `always` everywhere else, those of `outside` not
   * in fields (Escape there is for the browser, and would stop what was paid for), those of `single` if they are on.
   */
  constructor({ single, outside, always }) {
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
      const act = always[nameOf(event)] ?? (isOutside(event) ? (outside[event.key] ?? this.#single(single, event)) : undefined);
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  #single(single, event) {
    return this.isSingleOn ? single[event.key] : undefined;
  }
}

/** Whether a key is pressed alone, and outside of fields and lists. */
function isOutside(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  return !event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
}

function nameOf(event) {
  const isCommand = event.ctrlKey || event.metaKey;
  return isCommand ? `Ctrl ${event.key}` : event.key;
}
