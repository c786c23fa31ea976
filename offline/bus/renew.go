package bus

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kosk/offline"
)

// Renewal gives the station a new certificate while the old one still holds: EST
// simplereenroll (RFC 7030, 4.2.2), with a new key. The rules are:
//   - it is due when two thirds of the lifetime are over, or up to a twelfth later,
//     each station at its own moment;
//   - the new pair is stored before it is used, and tried before it takes the old
//     one's place: at every moment a pair is stored that the bus accepts;
//   - what fails is tried again with patience, by the old certificate.

const (
	renewLook = time.Hour      // how often it is looked whether it is due
	renewBase = time.Minute    // bound of the first back-off
	renewCap  = 12 * time.Hour // bound of all later ones
)

// A Wallet keeps the station's pairs of key and certificate. What a method has
// returned nil for survives a power cut, and one that failed changed nothing.
type Wallet interface {
	// Pairs returns the pair in use, and the next one if Keep has stored it and
	// Promote has not happened; else next has no certificate.
	Pairs() (current, next tls.Certificate, err error)
	// NewKey makes a key for the next pair. It need not be stored.
	NewKey() (crypto.Signer, error)
	// Keep stores the next pair beside the current one, in place of an earlier next one.
	Keep(next tls.Certificate) error
	// Promote makes the next pair the current one, and forgets that.
	Promote() error
}

// pair is the certificate that a client shows; it may be exchanged while it runs.
type pair struct {
	now atomic.Pointer[tls.Certificate]
}

// newPair has conf show the pair.
func newPair(conf *tls.Config, clock *Clock) (*pair, error) {
	p, theirs := &pair{}, conf.GetClientCertificate
	if theirs == nil {
		leaf, err := leafOf(conf.Certificates[0])
		if err != nil {
			return nil, err
		}
		clock.raise(leaf.NotBefore) // we hold it, so it was issued
		p.now.Store(&conf.Certificates[0])
	}
	conf.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if c := p.now.Load(); c != nil {
			return c, nil
		}
		return theirs(info)
	}
	conf.Certificates = nil
	return p, nil
}

func leafOf(c tls.Certificate) (*x509.Certificate, error) {
	if c.Leaf != nil {
		return c.Leaf, nil
	}
	if len(c.Certificate) == 0 {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(c.Certificate[0])
}

// Use has all new connections show another certificate.
func (c *Client) Use(cert tls.Certificate) {
	c.pair.now.Store(&cert)
	c.http.CloseIdleConnections()
}

// A Renewer keeps a client's certificate fresh.
type Renewer struct {
	client *Client
	wallet Wallet
	log    *slog.Logger

	mu    sync.Mutex
	state Renewal
}

// Renewal is how the certificate stands.
type Renewal struct {
	NotAfter time.Time // of the certificate in use
	Due      time.Time // when it is renewed
	Failures int       // in a row
	Err      error     // of the last attempt; nil: it went well, or none was due
}

// NewRenewer makes a renewer that does nothing until Run.
func NewRenewer(c *Client, w Wallet, log *slog.Logger) *Renewer {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Renewer{client: c, wallet: w, log: log}
}

// State tells how the certificate stands.
func (r *Renewer) State() Renewal {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Run renews whenever it is due, until ctx ends, and returns nil then.
func (r *Renewer) Run(ctx context.Context) error {
	for {
		err := r.Step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := renewLook
		r.mu.Lock()
		r.state.Err = err
		r.state.Failures++
		if err == nil {
			r.state.Failures = 0
		} else {
			wait = mathrand.N(min(renewCap, renewBase<<min(r.state.Failures-1, 12))) + 1
			if f, ok := errors.AsType[*offline.Fault](err); ok {
				wait = max(wait, f.RetryAfter)
			}
		}
		r.mu.Unlock()
		if err != nil {
			r.log.Warn("certificate not renewed", "err", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Step does what is due: it ends a renewal that was begun, or makes one.
func (r *Renewer) Step(ctx context.Context) error {
	current, next, err := r.wallet.Pairs()
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	leaf, err := leafOf(current)
	if err != nil {
		return fmt.Errorf("renew: current certificate: %w", err)
	}
	due := dueAt(leaf)
	r.mu.Lock()
	r.state.NotAfter, r.state.Due = leaf.NotAfter, due
	r.mu.Unlock()
	if len(next.Certificate) > 0 {
		err := r.adopt(ctx, next)
		if f, ok := errors.AsType[*offline.Fault](err); err == nil || !ok || f.Type != "line.alert" && !errors.Is(f, offline.ErrRefused) {
			return err // done, or not the certificate's fault
		}
		r.log.Warn("next certificate not accepted", "err", err)
	} else if r.client.opts.Clock.Now().Before(due) {
		return nil
	}
	next, err = r.client.reenroll(ctx, leaf, r.wallet.NewKey)
	if err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	if err := r.wallet.Keep(next); err != nil {
		return fmt.Errorf("renew: keep: %w", err)
	}
	return r.adopt(ctx, next)
}

// adopt tries the next pair, and puts it in the current one's place.
func (r *Renewer) adopt(ctx context.Context, next tls.Certificate) error {
	if err := r.client.try(ctx, next); err != nil {
		return fmt.Errorf("try next certificate: %w", err)
	}
	if err := r.wallet.Promote(); err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	r.client.Use(next)
	if leaf, err := leafOf(next); err == nil {
		r.log.Info("certificate renewed", "until", leaf.NotAfter)
		r.mu.Lock()
		r.state.NotAfter, r.state.Due = leaf.NotAfter, dueAt(leaf)
		r.mu.Unlock()
	}
	return nil
}

// dueAt is a moment after two thirds of the lifetime, which is the certificate's
// own: a restart doesn't draw it anew.
func dueAt(cert *x509.Certificate) time.Time {
	life := cert.NotAfter.Sub(cert.NotBefore)
	sum := sha256.Sum256(cert.Raw)
	share := float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
	return cert.NotBefore.Add(life * 2 / 3).Add(time.Duration(share * float64(life/12)))
}

// with is a client of HTTP like ours that shows another certificate; nil: ours.
func (c *Client) with(cert *tls.Certificate) *http.Client {
	if cert == nil {
		cert = c.pair.now.Load()
	}
	conf := c.opts.TLS.Clone()
	conf.Time = c.opts.Clock.Now
	if cert != nil {
		conf.Certificates = nil
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return newHTTP(conf, c.opts.Deadlines, nil)
}

// try asks the bus for the time by another certificate.
func (c *Client) try(ctx context.Context, cert tls.Certificate) error {
	other := &Client{base: c.base, host: c.host, name: c.name, opts: c.opts, http: c.with(&cert)}
	other.line.init()
	defer other.Close()
	_, err := other.Time(ctx)
	return err
}

// reenroll has the bus certify a new key under the old name. Source: RFC 7030,
// 4.2.2: subject and subjectAltName are those of the certificate that is renewed.
func (c *Client) reenroll(ctx context.Context, old *x509.Certificate, newKey func() (crypto.Signer, error)) (next tls.Certificate, err error) {
	key, err := newKey()
	if err != nil {
		return next, fmt.Errorf("new key: %w", err)
	}
	template := &x509.CertificateRequest{RawSubject: old.RawSubject}
	for _, e := range old.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			template.ExtraExtensions = []pkix.Extension{{Id: e.Id, Value: e.Value}}
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return next, fmt.Errorf("make request: %w", err)
	}
	client := c.with(nil)
	defer client.CloseIdleConnections()
	req, err := estRequest(c.host, "simplereenroll", csr)
	if err != nil {
		return next, err
	}
	cert, err := certified(ctx, client, req, c.opts.Deadlines)
	if err != nil {
		return next, fmt.Errorf("simplereenroll: %w", err)
	}
	if err := checkRenewed(cert, old, c.opts.TLS.RootCAs, key, c.opts.Clock.Now()); err != nil {
		return next, fmt.Errorf("issued certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// checkRenewed holds what a certificate must have that is to take old's place.
func checkRenewed(cert, old *x509.Certificate, roots *x509.CertPool, key crypto.Signer, now time.Time) error {
	if err := isFor(cert, key); err != nil {
		return err
	}
	if string(cert.RawSubject) != string(old.RawSubject) {
		return fmt.Errorf("is for %q", cert.Subject.CommonName)
	}
	if !cert.NotAfter.After(old.NotAfter) {
		return errors.New("does not hold longer than the old one")
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// estRequest carries a certificate request. Source: RFC 7030, 4.2.1.
func estRequest(host, call string, csr []byte) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, host+estPath+call, strings.NewReader(base64.StdEncoding.EncodeToString(csr)))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil
	req.Header.Set("User-Agent", "")
	req.Header.Set("Content-Type", "application/pkcs10")
	req.Header.Set("Content-Transfer-Encoding", "base64")
	return req, nil
}

// certified makes a request whose answer holds one certificate that is no CA's.
func certified(ctx context.Context, client *http.Client, req *http.Request, d Deadlines) (*x509.Certificate, error) {
	certs, err := askEST(ctx, client, req, d)
	if err != nil {
		return nil, err
	}
	for _, cert := range certs {
		if !cert.IsCA {
			return cert, nil
		}
	}
	return nil, malformed(http.StatusOK, errors.New("no certificate in the answer"))
}
