// Sets what the first paint depends on: the chosen theme, and whether a job is shown, for which the composer is smaller.
// It is the only script that blocks the first paint.
if (/[?&]job=/.test(location.search)) document.documentElement.dataset.shows = "job";
try {
  const chosen = localStorage.getItem("tokentail.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is refused, so the system's theme is used.
}
