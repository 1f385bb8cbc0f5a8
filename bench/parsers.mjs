// Feeds the JavaScript client's parser: node parsers.mjs MODULE UNIT BYTES PIECE_BYTES prints the seconds that it took.
const [module, unit, bytes, pieceBytes] = process.argv.slice(2);
const { EventParser } = await import(module);
const whole = new TextEncoder().encode(unit.repeat(Math.ceil(bytes / unit.length)));
const parser = new EventParser(Infinity);
const began = performance.now();
for (let at = 0; at < whole.length; at += +pieceBytes) parser.push(whole.subarray(at, at + +pieceBytes));
console.log((performance.now() - began) / 1000);
