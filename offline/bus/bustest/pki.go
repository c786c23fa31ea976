package bustest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// pki is a CA, the bus's certificate under it, a station's, and an impostor's
// under another CA. Keys are made at start and never stored.
type pki struct {
	ca       *x509.Certificate
	key      *ecdsa.PrivateKey
	server   tls.Certificate
	station  tls.Certificate
	impostor tls.Certificate
	posing   atomic.Bool
	serial   atomic.Int64
}

func newPKI() (*pki, error) {
	p, err := newCA("Bus Test CA")
	if err != nil {
		return nil, err
	}
	other, err := newCA("Bus Test CA") // the same name, another key
	if err != nil {
		return nil, err
	}
	if p.server, err = p.leaf("bus"); err != nil {
		return nil, err
	}
	if p.station, err = p.leaf(Station); err != nil {
		return nil, err
	}
	p.impostor, err = other.leaf("bus")
	return p, err
}

func newCA(name string) (*pki, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return &pki{ca: ca, key: key}, err
}

func (p *pki) leaf(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := p.issue(name, key.Public(), time.Hour)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (p *pki) issue(name string, key crypto.PublicKey, life time.Duration) ([]byte, error) {
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(p.serial.Add(1) + 1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, p.ca, key, p.key)
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca)
	return pool
}

func (p *pki) setImpostor(on bool) { p.posing.Store(on) }

// tlsConfig asks for a certificate but serves without one too, because EST does.
func (b *Bus) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs:  b.pki.pool(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if b.pki.posing.Load() {
				return &b.pki.impostor, nil
			}
			return &b.pki.server, nil
		},
	}
}

func (b *Bus) sign(id string, sum [sha256.Size]byte) []byte {
	return ed25519.Sign(b.receipts, signed(id, sum))
}

// listener can cut its connections and refuse new ones.
type listener struct {
	net.Listener

	mu   sync.Mutex
	down bool
	open map[net.Conn]bool
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		down := l.down
		if !down {
			l.open[c] = true
		}
		l.mu.Unlock()
		if !down {
			return &conn{c, l}, nil
		}
		c.Close()
	}
}

type conn struct {
	net.Conn
	l *listener
}

func (c *conn) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c.Conn)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

func (l *listener) setDown(down bool) {
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
	if down {
		l.cut()
	}
}

func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Close()
	}
}

// est serves the two calls of RFC 7030 that enrolment needs.
func (b *Bus) est(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/est/cacerts", func(w http.ResponseWriter, _ *http.Request) {
		b.sendCerts(w, b.pki.ca.Raw)
	})
	mux.HandleFunc("POST /.well-known/est/simplereenroll", b.renew)
	mux.HandleFunc("POST /.well-known/est/simpleenroll", func(w http.ResponseWriter, r *http.Request) {
		if b.pki.posing.Load() {
			b.t.Error("bus: the secret was sent to an impostor")
		}
		user, password, ok := r.BasicAuth()
		b.mu.Lock()
		right := ok && user == Station && password == b.secret && b.secret != ""
		if right {
			b.secret = ""
		}
		b.mu.Unlock()
		if !right {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, r.Body))
		if err != nil || r.Header.Get("Content-Type") != "application/pkcs10" {
			b.t.Errorf("bus: enrolment: %v, %q", err, r.Header.Get("Content-Type"))
		}
		csr, err := x509.ParseCertificateRequest(body)
		if err != nil || csr.CheckSignature() != nil {
			b.t.Errorf("bus: csr: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		der, err := b.pki.issue(csr.Subject.CommonName, csr.PublicKey, time.Hour)
		if err != nil {
			b.t.Errorf("bus: issue: %v", err)
		}
		b.sendCerts(w, der)
	})
}

// renew serves simplereenroll. Source: RFC 7030, 4.2.2.
func (b *Bus) renew(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		b.t.Error("bus: renewal without a certificate")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	old := r.TLS.PeerCertificates[0]
	f := b.fault(Renew)
	if f == Cut {
		cut()
	}
	body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, r.Body))
	if err != nil || r.Header.Get("Content-Type") != "application/pkcs10" {
		b.t.Errorf("bus: renewal: %v, %q", err, r.Header.Get("Content-Type"))
	}
	csr, err := x509.ParseCertificateRequest(body)
	if err != nil || csr.CheckSignature() != nil {
		b.t.Errorf("bus: csr: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if !bytes.Equal(csr.RawSubject, old.RawSubject) || len(csr.IPAddresses) != len(old.IPAddresses) {
		b.t.Errorf("bus: renewal of %v asks for %v, %v", old.Subject, csr.Subject, csr.IPAddresses)
	}
	if old.PublicKey.(*ecdsa.PublicKey).Equal(csr.PublicKey) {
		b.t.Error("bus: renewal with the old key")
	}
	switch f {
	case Busy:
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusAccepted) // 4.2.3: somebody must approve first
		return
	case DeniedNew:
		w.WriteHeader(http.StatusForbidden)
		return
	}
	der, err := b.pki.issue(csr.Subject.CommonName, csr.PublicKey, 2*time.Hour)
	if err != nil {
		b.t.Errorf("bus: issue: %v", err)
	}
	if f == ApplyAndCut {
		cut()
	}
	b.sendCerts(w, der)
}

func (b *Bus) sendCerts(w http.ResponseWriter, certs ...[]byte) {
	der, err := CertsOnly(certs...)
	if err != nil {
		b.t.Errorf("bus: pkcs7: %v", err)
	}
	w.Header().Set("Content-Type", "application/pkcs7-mime; smime-type=certs-only")
	w.Header().Set("Content-Transfer-Encoding", "base64")
	text := base64.StdEncoding.EncodeToString(der)
	for len(text) > 64 {
		io.WriteString(w, text[:64]+"\r\n") //nolint:errcheck
		text = text[64:]
	}
	io.WriteString(w, text+"\r\n") //nolint:errcheck
}

// CertsOnly packs certificates, in DER, as a certs-only PKCS#7.
// Source: RFC 5272, 4.1.
func CertsOnly(certs ...[]byte) ([]byte, error) {
	var all []byte
	for _, c := range certs {
		all = append(all, c...)
	}
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	type data struct {
		Version int
		Digests asn1.RawValue
		Content struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue
		Signers asn1.RawValue
	}
	d := data{Version: 1, Digests: set, Signers: set, Certs: asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: all}}
	d.Content.Type = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	inner, err := asn1.Marshal(d)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{
		asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2},
		asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner},
	})
}

// NewCertificate returns a fresh CA certificate in DER.
func NewCertificate() ([]byte, error) {
	p, err := newCA("Bus Test CA")
	if err != nil {
		return nil, err
	}
	return p.ca.Raw, nil
}
