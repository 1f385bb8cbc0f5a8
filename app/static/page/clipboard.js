// The clipboard. A page loaded by plain HTTP from another machine has no `navigator.clipboard`: the shown text is selected
// and copied by the older command. Where the browser refuses that as well, the person presses the keys to copy.

/** The keys to press where scripts may not copy. */
export const COPY_KEYS = /Mac|iP(hone|ad)/.test(navigator.platform) ? "Press ⌘C" : "Press Ctrl+C";

/** Copy the text; `select()` selects it where it is shown. False: it is selected, and the person must copy it. */
export async function copyText(text, select) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard, or the browser refuses its use.
  }
  select();
  const fill = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", fill, { once: true });
  let isCopied = false;
  try {
    isCopied = document.execCommand("copy");
  } finally {
    // If the person copies by keys now, the clipboard gets this text as well.
    if (isCopied) document.removeEventListener("copy", fill);
  }
  return isCopied;
}
