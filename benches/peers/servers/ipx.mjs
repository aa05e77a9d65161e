// ipx as its documentation serves it: the file system behind Node's own server.
// node ipx.mjs PORT FOLDER
import { createServer } from 'node:http';
import { createIPX, createIPXNodeServer, ipxFSStorage } from 'ipx';

const [port, folder] = process.argv.slice(2);
const ipx = createIPX({ storage: ipxFSStorage({ dir: folder }) });
createServer(createIPXNodeServer(ipx)).listen(Number(port), '127.0.0.1');
