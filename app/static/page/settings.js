// The settings in the help: features that can be switched off; the browser remembers the choice.

import { prefer, preference } from "./preferences.js";

/** Bind a checkbox to the preference of its id, which is on by default; `set` receives each value. */
export function bindSetting(checkbox, set) {
  checkbox.checked = preference(checkbox.id, "on") === "on";
  set(checkbox.checked);
  checkbox.addEventListener("change", () => {
    prefer(checkbox.id, checkbox.checked ? null : "off");
    set(checkbox.checked);
  });
}
