// A decoder that nobody here wrote, npos, takes a slip apart: each command, each
// text as letters, each picture as dots. What npos can't take apart is an error.
// Beyond its own rules it is told of GS ( k, QR codes, which has the form of the
// other GS ( commands, and of how long the commands to the makers' presenters are.
const fs = require('fs');
const npos = require(process.argv[2] + '/npos');
const iconv = require(process.argv[2] + '/iconv-lite');

// The numbers of ESC t in the makers' manuals.
const pages = { 16: 'windows1252', 17: 'cp866', 46: 'windows1251', 48: 'windows1254', 73: 'windows1251', 91: 'windows1254' };

Object.assign(npos.rules[npos.symbols.GS], {
  '(k': [0, 'd16'],
  R1: 1, // Citizen: the time after which a slip is taken back
  'e\x03': 1, // Custom: hold the slip out so many steps
  '\xe0': 1, // Custom: say by itself how it is
});

function picture(raw, node) {
  const b = npos.codecs.raster.decode(raw, { ...node });
  const dots = Buffer.alloc(b.width * b.height);
  for (let y = 0; y < b.height; y++) {
    for (let x = 0; x < b.width; x++) dots[y * b.width + x] = b.getPixel(x, y);
  }
  return { width: b.width, height: b.height, dots: dots.toString('base64') };
}

function main() {
  const raw = fs.readFileSync(0);
  const ast = npos.parser(npos.rules).analyze(raw);
  if (ast.error) throw ast.error;
  let page = 'cp437';
  let taken = 0;
  const parts = ast.tree.map((node) => {
    taken += node.length;
    const part = { name: (node.ascii + ' ' + (node.fn || '')).trim(), bytes: raw.subarray(node.offset, node.offset + node.length).toString('base64') };
    if (part.name === 'ESC t') page = pages[raw[node.offset + 2]];
    if (part.name === 'STX') part.text = iconv.decode(npos.codecs.text.decode(raw, node), page);
    if (part.name === 'GS v0') part.picture = picture(raw, node);
    return part;
  });
  if (taken !== raw.length) throw new Error(`${taken} of ${raw.length} bytes are commands`);
  console.log(JSON.stringify(parts));
}

main();
