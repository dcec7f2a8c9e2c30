// Draws scenes: one JSON scene a line on stdin, raw RGBA pictures (size x size x 4 bytes each) on stdout.
// A scene is {"background": "<svg elements in a 100 x 100 box>", "people": [{"face": FaceConfig, "view": "x y w h",
// "box": [x, y, w, h]}]}: boxes are in the same 100 x 100 units, views in facesjs' 400 x 600 canvas.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { faceToSvgString } from "facesjs";
import { Resvg } from "@resvg/resvg-js";

const size = Number(process.argv[2]);

function draw(scene) {
  const people = scene.people.map(({ face, view, box: [x, y, w, h] }) =>
    faceToSvgString(face).replace(
      /<svg[^>]*>/,
      `<svg x="${x}" y="${y}" width="${w}" height="${h}" viewBox="${view}">`,
    ),
  );
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 100 100">`;
  return new Resvg(`${svg}${scene.background}${people.join("")}</svg>`).render().pixels;
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!process.stdout.write(draw(JSON.parse(line)))) await once(process.stdout, "drain");
}
