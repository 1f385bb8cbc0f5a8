// Formats: numbers as people read them. Pure.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 1,234 */
export const count = (number) => whole.format(number);

/** 12.3; from 100 on without tenths. */
export const short = (number) => (number >= 100 ? whole : tenths).format(number);

/** 812 B, 3.4 kB, 1.2 MB */
export function size(bytes) {
  if (bytes < 1000) return `${whole.format(bytes)} B`;
  return bytes < 1e6 ? `${short(bytes / 1e3)} kB` : `${short(bytes / 1e6)} MB`;
}

/** 35 ms, 1.2 s, 3 min */
export function span(ms) {
  if (ms < 1000) return `${whole.format(ms)} ms`;
  return ms < 120_000 ? `${tenths.format(ms / 1000)} s` : `${whole.format(ms / 60_000)} min`;
}

/** in 5 min, in 3 h, in 6 days: when a moment to come is. */
export function until(moment, now = Date.now()) {
  const minutes = Math.max(0, Math.round((Date.parse(moment) - now) / 60_000));
  if (minutes < 90) return `in ${minutes} min`;
  return minutes < 2880 ? `in ${Math.round(minutes / 60)} h` : `in ${Math.round(minutes / 1440)} days`;
}

/** just now, 5 min ago, 3 h ago, or the date. */
export function ago(moment, now = Date.now()) {
  const minutes = Math.floor((now - Date.parse(moment)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h ago` : new Date(moment).toLocaleDateString("en");
}
