// Package icao holds the formats and the cryptography of machine readable travel
// documents, ICAO 9303-3, -10, -11 and -12: BER-TLV, APDUs, the machine readable
// zone, data groups, PACE, BAC, Chip Authentication, secure messaging, and the
// X.509 and CMS of a document security object.
//
// It is pure: no I/O, no clock, no goroutine. What it reads comes from a
// stranger's chip, so every parser is bounded and fuzzed. It says whether a
// signature fits a key; whether the key is to be believed is device/identity's.
package icao
