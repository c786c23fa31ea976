package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"kosk/device/keep"

	"filippo.io/age"
)

// The lives of certificates.
const (
	caLife      = 10 * 365 * 24 * time.Hour
	serverLife  = 365 * 24 * time.Hour // made at every start
	stationLife = 2 * 365 * 24 * time.Hour
	backdate    = 24 * time.Hour // a kiosk's clock may be behind
)

// Keys are the bus's own keys, made at the first start and kept for ever.
type Keys struct {
	CA       *x509.Certificate
	Receipt  *ecdsa.PrivateKey   // signs receipts and certificates
	Identity *age.HybridIdentity // opens envelopes

	ca *ecdsa.PrivateKey
}

const keysFile = "keys.json"

// keysOnDisk is PEM and age's own text.
type keysOnDisk struct {
	CAKey   string `json:"ca_key"`
	CA      string `json:"ca"`
	Receipt string `json:"receipt_key"`
	Sealing string `json:"sealing_key"`
}

func openKeys(dir string) (*Keys, error) {
	path := filepath.Join(dir, keysFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeys(path)
	}
	if err != nil {
		return nil, err
	}
	k, err := parseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keysFile, err)
	}
	return k, nil
}

func parseKeys(b []byte) (*Keys, error) {
	var f keysOnDisk
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, errors.New("not json")
	}
	pair, err := tls.X509KeyPair([]byte(f.CA), []byte(f.CAKey))
	if err != nil {
		return nil, errors.New("ca")
	}
	k := &Keys{CA: pair.Leaf}
	var ok bool
	if k.ca, ok = pair.PrivateKey.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New("kind of ca key")
	}
	block, _ := pem.Decode([]byte(f.Receipt))
	if block == nil {
		return nil, errors.New("receipt key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("receipt key")
	}
	if k.Receipt, ok = key.(*ecdsa.PrivateKey); !ok {
		return nil, errors.New("kind of receipt key")
	}
	if k.Identity, err = age.ParseHybridIdentity(f.Sealing); err != nil {
		return nil, errors.New("sealing key")
	}
	return k, nil
}

func makeKeys(path string) (*Keys, error) {
	k := &Keys{}
	var err error
	if k.ca, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if k.Receipt, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if k.Identity, err = age.GenerateHybridIdentity(); err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: "kosk reference bus"}, NotBefore: now.Add(-backdate), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if k.CA, err = sign(t, t, k.ca.Public(), k.ca); err != nil {
		return nil, err
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(k.ca)
	if err != nil {
		return nil, err
	}
	receipt, err := x509.MarshalPKCS8PrivateKey(k.Receipt)
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(keysOnDisk{
		CAKey: armour("PRIVATE KEY", caKey), CA: armour("CERTIFICATE", k.CA.Raw),
		Receipt: armour("PRIVATE KEY", receipt), Sealing: k.Identity.String(),
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return k, keep.File(path, b)
}

func armour(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// sign issues t with a fresh random serial number.
func sign(t, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial.Add(serial, big.NewInt(1)) // RFC 5280, 4.1.2.2: positive
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Fingerprint is the part of a code by which a kiosk knows its bus: the first
// 16 bytes of the SHA-256 of the CA certificate, in lower-case hex.
func (k *Keys) Fingerprint() string {
	sum := sha256.Sum256(k.CA.Raw)
	return hex.EncodeToString(sum[:16])
}

// Pool holds the CA.
func (k *Keys) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(k.CA)
	return pool
}

func (k *Keys) issueStation(name string, org Organisation, public *ecdsa.PublicKey, now time.Time) (*x509.Certificate, error) {
	return sign(&x509.Certificate{
		Subject: pkix.Name{
			CommonName: name, Organization: []string{org.Member}, OrganizationalUnit: []string{org.Subsystem},
		},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(stationLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, k.CA, public, k.ca)
}

// Server makes a key and certificate for the bus's listener, good for
// localhost, the loopback addresses, and hosts.
func (k *Keys) Server(now time.Time, hosts ...string) (tls.Certificate, error) {
	return server(k.CA, k.ca, now, hosts)
}

// Stranger makes a server certificate like Server's by a CA that nobody knows:
// the fault "wrong-certificate".
func Stranger(now time.Time, hosts ...string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: "stranger"}, NotBefore: now.Add(-backdate), NotAfter: now.Add(serverLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca, err := sign(t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return server(ca, key, now, hosts)
}

func server(ca *x509.Certificate, caKey *ecdsa.PrivateKey, now time.Time, hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: "kosk reference bus server"}, NotBefore: now.Add(-backdate), NotAfter: now.Add(serverLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if h != "" {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	cert, err := sign(t, ca, key.Public(), caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw, ca.Raw}, PrivateKey: key, Leaf: cert}, nil
}
