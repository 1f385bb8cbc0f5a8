// What has to be known before anything is painted: the theme that was chosen, and whether a job is shown, for which the
// composer is smaller. The only script that the browser waits for.
if (/[?&]job=/.test(location.search)) document.documentElement.dataset.shows = "job";
try {
  const chosen = localStorage.getItem("tokentail.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is refused here; the system's theme holds.
}
