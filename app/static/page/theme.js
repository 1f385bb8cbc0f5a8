// The theme: the system's, until a person chooses another. theme_first.js applies the choice before the first paint.

import { prefer } from "./preferences.js";

const root = document.documentElement;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** "light" or "dark": what is shown now. */
export function shownTheme() {
  return root.dataset.theme ?? (systemIsDark.matches ? "dark" : "light");
}

/** Change the theme. A choice equal to the system's is forgotten, so that the page follows the system again. */
export function toggleTheme() {
  const next = shownTheme() === "dark" ? "light" : "dark";
  const isSystems = (next === "dark") === systemIsDark.matches;
  if (isSystems) delete root.dataset.theme;
  else root.dataset.theme = next;
  prefer("theme", isSystems ? null : next);
  root.dispatchEvent(new Event("themechange"));
}
