// The settings in the help: what can be switched off, and is remembered.

import { prefer, preference } from "./preferences.js";

/** Bind a checkbox to a preference of its id, which is on until it is switched off; `set` takes each value. */
export function bindSetting(checkbox, set) {
  checkbox.checked = preference(checkbox.id, "on") === "on";
  set(checkbox.checked);
  checkbox.addEventListener("change", () => {
    prefer(checkbox.id, checkbox.checked ? null : "off");
    set(checkbox.checked);
  });
}
