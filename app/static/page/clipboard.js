// The clipboard. Pages that come by plain HTTP from another machine have no `navigator.clipboard`; what is shown is selected
// and copied by the older command there, and where that is refused too, a person presses two keys.

/** What to press where script may not copy. */
export const COPY_KEYS = /Mac|iP(hone|ad)/.test(navigator.platform) ? "Press ⌘C" : "Press Ctrl+C";

/** Copy the text; `select()` selects where it is shown. False: it is selected, and is still to be copied by hand. */
export async function copyText(text, select) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // It is missing, or the browser does not let us.
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
    // What a person copies now, by the keys, is this text as well.
    if (isCopied) document.removeEventListener("copy", fill);
  }
  return isCopied;
}
