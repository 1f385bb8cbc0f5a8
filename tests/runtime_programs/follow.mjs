// What tokentail.js does in this runtime: `node follow.mjs URL`. Prints JSON.

import { tell } from "./tell.mjs";
import { Tokentail } from "./tokentail.js";

const url = globalThis.Deno?.args[0] ?? process.argv[2];
console.log(JSON.stringify(await tell(Tokentail, url)));
(globalThis.Deno ?? process).exit(0);
