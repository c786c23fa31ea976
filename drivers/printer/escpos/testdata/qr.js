// The bytes with which a driver that nobody here wrote, node-thermal-printer,
// prints a QR code.
const { printer: Printer, types } = require(process.argv[2] + '/node-thermal-printer');

const [, , , cellSize, correction, text] = process.argv;
const p = new Printer({ type: types.EPSON, interface: '/dev/null' });
p.printQR(text, { cellSize: Number(cellSize), correction, model: 2 });
process.stdout.write(p.getBuffer());
