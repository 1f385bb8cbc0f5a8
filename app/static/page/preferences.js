// Preferences: a person's choices, kept in this browser. They never contain a prompt, an answer or a key.

const PREFIX = "tokentail.";

/** The stored choice, or `otherwise`. */
export function preference(name, otherwise) {
  try {
    return localStorage.getItem(PREFIX + name) ?? otherwise;
  } catch {
    return otherwise; // storage is refused
  }
}

/** Keep a choice; null forgets it. */
export function prefer(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // Storage is refused or full: the choice lasts until the page is closed.
  }
}
