// A point-of-sale program as anybody would write it, with a driver that nobody
// here wrote: node-thermal-printer. It asks for the paper's state, and prints.
const { printer: Printer, types, characterSet } = require(process.argv[2] + '/node-thermal-printer');

async function main() {
  const make = () => new Printer({
    type: types[process.argv[4]], interface: process.argv[3], characterSet: characterSet.PC866_CYRILLIC2, options: { timeout: 4000 },
  });
  const ask = make();
  ask.getStatus();
  const answer = await ask.execute({ waitForResponse: true });
  console.log('status ' + answer.toString('hex'));
  if (process.argv[5] === 'status') return;

  const p = make();
  p.alignCenter();
  p.bold(true);
  p.println('Stranger & Sons');
  p.bold(false);
  p.alignLeft();
  p.println('Привет, 12.50');
  p.setTextQuadArea();
  p.println('TOTAL 12.50');
  p.setTextNormal();
  p.invert(true);
  p.println('PAID');
  p.invert(false);
  p.leftRight('left', 'right');
  p.drawLine();
  p.printQR('HTTPS://STRANGER.EXAMPLE/42', { cellSize: 6, correction: 'M', model: 2 });
  p.newLine();
  p.cut();
  await p.execute();
  console.log('printed');
}

main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
