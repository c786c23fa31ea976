// Another point-of-sale program, with another driver that nobody here wrote:
// receiptio. It asks how the printer is, or prints and waits until it is told
// that all is out.
const receiptio = require(process.argv[2] + '/receiptio');

const [, , , host, what, kind, text] = process.argv;
const receipt = text || `^^^Stranger & Sons

22.11.2026, 11:22:33
Asparagus | 1| 1.00
Broccoli  | 2| 2.00
Carrot    | 3| 3.00
---
^TOTAL | ^6.00

{code:HTTPS://STRANGER.EXAMPLE/43; option:qrcode,6,m}
`;

const options = `-d ${host} -c 42 -t 20` + (kind ? ` -p ${kind}` : '') + (what === 'print' ? '' : ` -q ${what}`);
receiptio.print(receipt, options).then((said) => { console.log(said); process.exit(0); });
