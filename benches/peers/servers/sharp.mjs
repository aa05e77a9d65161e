// A server around sharp, as one writes it after its documentation: thumbnails, blur, uploads.
// node sharp.mjs PORT FOLDER UPLOADS
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';

const [port, folder, uploads] = process.argv.slice(2);

// Every request is of another picture or size, so libvips' cache of operations would only hold memory.
sharp.cache(false);
// One thread an image: several images are under way anyway (UV_THREADPOOL_SIZE), and it costs less.
sharp.concurrency(1);

const types = { jpg: 'jpeg', webp: 'webp' };

// GET /SIDE/QUALITY/FORMAT/FILE, SIDE is 0 for the picture's own; ?blur=SIGMA
async function picture(url) {
  const [, side, quality, format, file] = url.pathname.split('/');
  if (!/^[\w-]+\.jpg$/.test(file ?? '') || !(format in types)) return [404, 'text/plain', Buffer.from('not found')];
  let image = sharp(join(folder, file)).autoOrient();
  if (side !== '0') image = image.resize(Number(side), Number(side), { fit: 'inside', withoutEnlargement: true });
  if (url.searchParams.has('blur')) image = image.blur(Number(url.searchParams.get('blur')));
  const body = await image.toFormat(types[format], { quality: Number(quality) }).toBuffer();
  return [200, `image/${types[format]}`, body];
}

// POST /upload: the body is a file. It is kept if it can be decoded to its end. Decoding at an eighth reads every word of a JPEG, and is
// the cheapest that libvips has to offer.
async function upload(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const bytes = Buffer.concat(parts);
  try {
    await sharp(bytes, { failOn: 'warning' }).resize(64, 64, { fit: 'inside' }).raw().toBuffer();
  } catch (error) {
    return [400, 'text/plain', Buffer.from(String(error))];
  }
  const name = `${randomUUID()}.jpg`;
  await writeFile(join(uploads, name), bytes);
  return [201, 'text/plain', Buffer.from(name)];
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  try {
    const [status, type, body] = request.method === 'POST' ? await upload(request) : await picture(url);
    response.writeHead(status, { 'content-type': type, 'content-length': body.length });
    response.end(body);
  } catch (error) {
    response.writeHead(500);
    response.end(String(error));
  }
});
server.listen(Number(port), '127.0.0.1');
