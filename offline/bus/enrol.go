package bus

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"kosk/offline"
)

// Enrolment gives a new kiosk its certificate: EST (RFC 7030), authenticated by
// a one-time code. The rules are:
//   - the secret leaves only over a connection whose server proved a certificate
//     under the CA that the code names, by fingerprint;
//   - the certificate must be for our key and our station, under that CA.

const (
	fingerprintSize = 16 // bytes of SHA-256 over the CA certificate's DER
	estPath         = "/.well-known/est/"
	maxEST          = 256 << 10
)

// ErrCode says that a one-time code is mistyped.
var ErrCode = errors.New("bad enrolment code")

// An Enrolment is what is needed to enrol.
type Enrolment struct {
	URL       string        // "https://bus.example:8443"
	Code      string        // STATION.SECRET.FINGERPRINT, as `bus station add` printed it
	Key       crypto.Signer // the station's key; it never leaves
	Deadlines Deadlines     //
}

// Enrolled is what comes of it. Store it; then Open and Keys.
type Enrolled struct {
	Station     string   // station number, the certificate's common name
	Certificate []byte   // DER
	CA          [][]byte // DER; the first is the one that the code names
}

// TLS is the configuration for Open; key is the one that was enrolled.
func (e Enrolled) TLS(key crypto.Signer) (*tls.Config, error) {
	roots := x509.NewCertPool()
	for _, der := range e.CA {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		roots.AddCert(ca)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      roots,
		Certificates: []tls.Certificate{{Certificate: [][]byte{e.Certificate}, PrivateKey: key}},
	}, nil
}

type code struct {
	station, secret string
	fingerprint     []byte
}

// parseCode takes a code apart, from its end: a station number may hold a dot.
func parseCode(s string) (code, error) {
	parts := strings.Split(strings.TrimSpace(s), ".")
	n := len(parts)
	if n < 3 {
		return code{}, fmt.Errorf("%d parts, not 3: %w", n, ErrCode)
	}
	c := code{station: strings.Join(parts[:n-2], "."), secret: strings.ToUpper(parts[n-2])}
	var err error
	if c.fingerprint, err = hex.DecodeString(strings.ToLower(parts[n-1])); err != nil || len(c.fingerprint) != fingerprintSize {
		return code{}, fmt.Errorf("fingerprint: %w", ErrCode)
	}
	if c.station == "" || c.secret == "" || strings.Trim(c.secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567=") != "" {
		return code{}, fmt.Errorf("station or secret: %w", ErrCode)
	}
	return c, nil
}

// Enrol gets a certificate for the key. Errors: ErrCode, and those of
// *offline.Fault: ErrBusIdentity when the bus is not the one that the code
// names, ErrRefused when the code is wrong or used up, ErrLineDown.
func Enrol(ctx context.Context, e Enrolment) (Enrolled, error) {
	got, err := enrol(ctx, e)
	if err != nil {
		return Enrolled{}, fmt.Errorf("enrol: %w", err)
	}
	return got, nil
}

func enrol(ctx context.Context, e Enrolment) (Enrolled, error) {
	base, err := baseURL(e.URL)
	if err != nil {
		return Enrolled{}, err
	}
	c, err := parseCode(e.Code)
	if err != nil {
		return Enrolled{}, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: c.station},
	}, e.Key)
	if err != nil {
		return Enrolled{}, fmt.Errorf("make request: %w", err)
	}
	d := e.Deadlines.withDefaults()
	cas, err := fetchCA(ctx, base, c, d)
	if err != nil {
		return Enrolled{}, fmt.Errorf("fetch ca: %w", err)
	}
	cert, err := simpleEnroll(ctx, base, c, cas[0], csr, d)
	if err != nil {
		return Enrolled{}, fmt.Errorf("simpleenroll: %w", err)
	}
	if err := checkIssued(cert, cas[0], c.station, e.Key); err != nil {
		return Enrolled{}, fmt.Errorf("issued certificate: %w", err)
	}
	got := Enrolled{Station: c.station, Certificate: cert.Raw}
	for _, ca := range cas {
		got.CA = append(got.CA, ca.Raw)
	}
	return got, nil
}

// fetchCA asks an unknown server for the CA's certificates and believes only
// the one that the code names, put first, and those that it has signed.
// Source: RFC 7030, 4.1.1.
func fetchCA(ctx context.Context, base string, c code, d Deadlines) ([]*x509.Certificate, error) {
	// Nothing secret is sent here, and what comes back is checked by fingerprint.
	client := newHTTP(&tls.Config{InsecureSkipVerify: true}, d, nil) //nolint:gosec
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, base+estPath+"cacerts", nil)
	if err != nil {
		return nil, err
	}
	certs, err := askEST(ctx, client, req, d)
	if err != nil {
		return nil, err
	}
	for i, ca := range certs {
		sum := sha256.Sum256(ca.Raw)
		if bytes.Equal(sum[:fingerprintSize], c.fingerprint) && ca.IsCA {
			return append([]*x509.Certificate{ca}, signedBy(ca, certs, i)...), nil
		}
	}
	return nil, &offline.Fault{Type: "line.certificate", Message: "no ca has the fingerprint of the code", Err: offline.ErrBusIdentity}
}

func signedBy(ca *x509.Certificate, certs []*x509.Certificate, not int) (signed []*x509.Certificate) {
	for i, c := range certs {
		if i != not && c.IsCA && c.CheckSignatureFrom(ca) == nil {
			signed = append(signed, c)
		}
	}
	return signed
}

// simpleEnroll sends the request to a server that is known by now.
// Source: RFC 7030, 4.2; HTTP Basic as in 3.2.3.
func simpleEnroll(ctx context.Context, base string, c code, ca *x509.Certificate, csr []byte, d Deadlines) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	// The system's clock may stand in 1970; the authority's own beginning is a floor.
	now := func() time.Time {
		if at := time.Now(); at.After(ca.NotBefore) {
			return at
		}
		return ca.NotBefore
	}
	client := newHTTP(&tls.Config{RootCAs: roots, Time: now}, d, nil)
	defer client.CloseIdleConnections()
	req, err := estRequest(base, "simpleenroll", csr)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(c.station, c.secret)
	return certified(ctx, client, req, d)
}

// askEST makes one exchange whose answer is a bag of certificates.
func askEST(ctx context.Context, client *http.Client, req *http.Request, d Deadlines) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Answer)
	defer cancel()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, lost(err, false)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxEST))
	if err != nil {
		return nil, lost(err, true)
	}
	if resp.StatusCode != http.StatusOK {
		f := judge(request{method: req.Method}, answer{status: resp.StatusCode, header: resp.Header, body: body})
		if f == nil { // such as 202: a person must approve first, which we do not do
			f = malformed(resp.StatusCode, errors.New("no certificate yet"))
		}
		return nil, f
	}
	certs, err := parseEST(body)
	if err != nil {
		return nil, malformed(resp.StatusCode, err)
	}
	return certs, nil
}

// parseEST reads the body of an answer of EST. Source: RFC 7030, 4.1.3, 4.2.3.
func parseEST(body []byte) ([]*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
	if err != nil {
		return nil, err
	}
	return parseCertsOnly(der)
}

func checkIssued(cert, ca *x509.Certificate, station string, key crypto.Signer) error {
	if err := isFor(cert, key); err != nil {
		return err
	}
	if cert.Subject.CommonName != station {
		return fmt.Errorf("is for station %q", cert.Subject.CommonName)
	}
	if err := cert.CheckSignatureFrom(ca); err != nil {
		return err
	}
	return nil
}

func isFor(cert *x509.Certificate, key crypto.Signer) error {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(cert.PublicKey) {
		return errors.New("is for another key")
	}
	return nil
}
