package server

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"kosk/cmd/bus/registry"
)

// maxCSR bounds the body of an enrolment.
const maxCSR = 16 << 10

// caCerts hands out the CA's certificate. RFC 7030, 4.1. Nobody need trust the
// connection: the kiosk compares the certificate with its code.
func (s *Server) caCerts(w *recorder, _ *http.Request) {
	s.writeCerts(w, "application/pkcs7-mime", s.Registry.Keys().CA)
}

// simpleEnroll spends a one-time code. RFC 7030, 4.2.
func (s *Server) simpleEnroll(w *recorder, r *http.Request) {
	station, secret, ok := r.BasicAuth()
	if !ok {
		challenge(w)
		return
	}
	csr, ok := readCSR(w, r)
	if !ok {
		return
	}
	org := registry.Organisation{Member: s.Provider.member(), Subsystem: s.Provider.Subsystem}
	cert, err := s.Registry.Enrol(station, secret, org, csr, time.Now())
	switch {
	case errors.Is(err, registry.ErrCode):
		challenge(w)
	case errors.Is(err, registry.ErrCSR):
		http.Error(w, "certificate request refused", http.StatusBadRequest)
	case err != nil:
		s.Log.Error("enrolment failed", "err", err)
		http.Error(w, "registry failed", http.StatusInternalServerError)
	default:
		w.station = station
		s.writeCerts(w, "application/pkcs7-mime; smime-type=certs-only", cert)
	}
}

// simpleReenroll gives a station that comes with its certificate a further one. RFC
// 7030, 4.2.2. The old one stays good until its end, so nothing is lost when the
// answer is.
func (s *Server) simpleReenroll(w *recorder, r *http.Request) {
	if len(r.TLS.PeerCertificates) == 0 {
		http.Error(w, "no client certificate", http.StatusUnauthorized)
		return
	}
	csr, ok := readCSR(w, r)
	if !ok {
		return
	}
	org := registry.Organisation{Member: s.Provider.member(), Subsystem: s.Provider.Subsystem}
	held := r.TLS.PeerCertificates[0]
	cert, err := s.Registry.Renew(held, org, csr, time.Now())
	switch {
	case errors.Is(err, registry.ErrUnknown):
		http.Error(w, "certificate is not held any more", http.StatusForbidden)
	case errors.Is(err, registry.ErrCSR):
		http.Error(w, "certificate request refused", http.StatusBadRequest)
	case errors.Is(err, registry.ErrTooMany):
		http.Error(w, "too many certificates are held", http.StatusTooManyRequests)
	case err != nil:
		s.Log.Error("renewal failed", "err", err)
		http.Error(w, "registry failed", http.StatusInternalServerError)
	default:
		w.station = held.Subject.CommonName
		s.writeCerts(w, "application/pkcs7-mime; smime-type=certs-only", cert)
	}
}

// readCSR reads the body of an enrolment. When ok is false it has answered.
func readCSR(w http.ResponseWriter, r *http.Request) (csr []byte, ok bool) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCSR))
	if err != nil {
		http.Error(w, "request too long", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	csr, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		http.Error(w, "body is not base64", http.StatusBadRequest)
		return nil, false
	}
	return csr, true
}

func challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="enrolment with a one-time code"`)
	http.Error(w, "code wrong, used or expired", http.StatusUnauthorized)
}

func (s *Server) writeCerts(w http.ResponseWriter, kind string, certs ...*x509.Certificate) {
	der, err := certsOnly(certs)
	if err != nil {
		s.Log.Error("enrolment failed", "err", err)
		http.Error(w, "encoding", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Transfer-Encoding", "base64")
	_, _ = io.WriteString(w, base64.StdEncoding.EncodeToString(der)) // the client may have gone
}

var (
	oidData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
)

// certsOnly is a CMS SignedData that holds certificates and signs nothing.
// RFC 5652, 5.1; RFC 7030, 4.1.3.
func certsOnly(certs []*x509.Certificate) ([]byte, error) {
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	type content struct {
		Type asn1.ObjectIdentifier
	}
	type signedData struct {
		Version      int
		Algorithms   asn1.RawValue
		Content      content
		Certificates asn1.RawValue
		Signers      asn1.RawValue
	}
	emptySet := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	inner, err := asn1.Marshal(signedData{
		Version: 1, Algorithms: emptySet, Content: content{oidData}, Signers: emptySet,
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: all},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{oidSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}})
}
