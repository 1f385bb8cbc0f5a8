// Shortcuts: what keys do. Those of a single key can be switched off (WCAG 2.1.4), and are silent in fields and dialogs.

export class Shortcuts {
  isSingleOn = true;

  /** `single` and `always` map a key to what it does; those of `always` are asked everywhere but in dialogs. */
  constructor({ single, always }) {
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
      const act = always[nameOf(event)] ?? (this.#isForUs(event) ? single[event.key] : undefined);
      if (!act) return;
      event.preventDefault();
      act();
    });
  }

  #isForUs(event) {
    if (!this.isSingleOn || event.ctrlKey || event.metaKey || event.altKey) return false;
    return !event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
  }
}

function nameOf(event) {
  const isCommand = event.ctrlKey || event.metaKey;
  return isCommand ? `Ctrl ${event.key}` : event.key;
}
