// lemmy-js-client, which is told what to call by a line on its input, and says by a line of JSON what that returned or threw.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

// Not `import`: only this finds what NODE_PATH has.
const require = createRequire(import.meta.url);
const { LemmyHttp } = require("lemmy-js-client");

const lemmy = new LemmyHttp(process.argv[2]);

const calls = {
  login: (name, password) => lemmy.login({ username_or_email: name, password }),
  uploadImage: async (path, auth) => lemmy.uploadImage({ image: await readFile(path), auth }),
  uploadFile: async (path, auth) => lemmy.uploadImage({ image: new File([await readFile(path)], "a.png"), auth }),
  // It has no call that deletes: whoever uses it opens the address that an upload returned.
  open: async (address) => (await fetch(address)).status,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...values] = JSON.parse(line);
  let told;
  try {
    told = { returned: await calls[name](...values) };
  } catch (error) {
    told = { raised: String(error) };
  }
  console.log(JSON.stringify(told));
}
