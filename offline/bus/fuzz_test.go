package bus

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"kosk/offline"
	"kosk/offline/bus/bustest"
)

// Whatever comes back, a fault has a class, and only 2xx and a 304 that was
// asked for are none.
func FuzzJudge(f *testing.F) {
	f.Add(500, "Server.ServerProxy.AccessDenied", "", []byte(`{"type":"Server.ServerProxy.AccessDenied"}`), true)
	f.Add(503, "", "120", []byte(`{}`), false)
	f.Add(429, "", "Wed, 21 Oct 2026 07:28:00 GMT", []byte(`{"reason":"x"}`), true)
	f.Add(200, "client.x", "-1", []byte(`[`), true)
	f.Fuzz(func(t *testing.T, status int, header, retry string, body []byte, put bool) {
		h := http.Header{"Retry-After": {retry}}
		if header != "" {
			h.Set("X-Road-Error", header)
		}
		r := request{method: http.MethodGet, issue: "x"}
		if put {
			r.method = http.MethodPut
		}
		err := judge(r, answer{status: status, header: h, body: body})
		if (err == nil) != (header == "" && status/100 == 2) {
			t.Fatalf("%d with %q: %v", status, header, err)
		}
		if err == nil {
			return
		}
		f, ok := errors.AsType[*offline.Fault](err)
		if !ok || f.Err == nil || f.RetryAfter < 0 || f.RetryAfter > maxRetryAfter {
			t.Errorf("%+v", err)
		}
		if f.Sent && (errors.Is(f, offline.ErrRefused) || errors.Is(f, offline.ErrNotFound)) {
			t.Errorf("a final answer of unknown outcome: %+v", f)
		}
	})
}

func FuzzParseSubmission(f *testing.F) {
	f.Add([]byte(`{"state":"accepted","receipt":"cmVjZWlwdA==","new":1}`))
	f.Add([]byte(`{"state":"done","receipt":"cg==","outcome":{"a":1}}`))
	f.Add([]byte(`{"state":"refused","receipt":"cg==","reason":"not_entitled"}`))
	f.Add([]byte(`{"state":"lost","receipt":"cg=="}`))
	f.Add([]byte(`{"state":"refused","receipt":"cg==","reason":"Aygün is not entitled"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseSubmission("id", b)
		if (err == nil) != (p.Stage != 0) || err == nil && (len(p.Receipt) == 0 || p.Stage == offline.Stored) {
			t.Errorf("%+v, %v", p, err)
		}
		if strings.ContainsAny(p.Reason, " A") {
			t.Errorf("reason %q", p.Reason)
		}
		if p.Outcome != nil && p.Stage != offline.Done {
			t.Errorf("outcome with %v", p.Stage)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"recipient":"age1pq1x","receipt_key":"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=","instance":"AZ-TEST","not_after":"2027-01-01T00:00:00Z"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKeys(b, "AZ-TEST")
		if err == nil && (k.Instance != "AZ-TEST" || !strings.HasPrefix(k.Recipient, "age1pq") || len(k.ReceiptKey) == 0) {
			t.Errorf("%+v", k)
		}
	})
}

func FuzzParseCode(f *testing.F) {
	f.Add("ST-0001.ABCDEFGH234567AA.00112233445566778899aabbccddeeff")
	f.Add("A.B.C")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCode(s)
		if err == nil && (c.station == "" || c.secret == "" || len(c.fingerprint) != fingerprintSize) {
			t.Errorf("%+v", c)
		}
		if err != nil && !errors.Is(err, ErrCode) {
			t.Error(err)
		}
	})
}

func FuzzParseCertsOnly(f *testing.F) {
	// A self-signed Ed25519 certificate's shape is found by the fuzzer from here.
	empty, err := bustest.CertsOnly()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	junk, err := bustest.CertsOnly([]byte{0x30, 0x03, 0x02, 0x01, 0x01})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(junk)
	ca, err := bustest.NewCertificate()
	if err != nil {
		f.Fatal(err)
	}
	good, err := bustest.CertsOnly(ca, ca)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, der []byte) {
		certs, err := parseCertsOnly(der)
		if (err == nil) != (len(certs) > 0) {
			t.Errorf("%d certificates, %v", len(certs), err)
		}
	})
}

// The seed is made with the same hands as the parser; this one is not: openssl
// 3.0, `crl2pkcs7 -nocrl -certfile`, of a self-signed Ed25519 certificate.
func TestCertsOnlyOfOpenSSL(t *testing.T) {
	der, err := base64.StdEncoding.DecodeString(opensslCertsOnly)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := parseCertsOnly(der)
	if err != nil || len(certs) != 1 || certs[0].Subject.CommonName != "ST-0001" || certs[0].PublicKeyAlgorithm != x509.Ed25519 {
		t.Fatalf("%v, %v", certs, err)
	}
	for n := range der {
		if _, err := parseCertsOnly(der[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are enough", n, len(der))
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 10, 21, 7, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"120", "", 2 * time.Minute},
		{"-5", "", 0},
		{"999999999", "", time.Hour},
		{"99999999999999999999", "", 0},
		{"Wed, 21 Oct 2026 07:01:00 GMT", "", time.Minute},
		{"Wed, 21 Oct 2026 07:01:00 GMT", "Wed, 21 Oct 2026 07:00:30 GMT", 30 * time.Second},
		{"Wed, 21 Oct 2026 06:00:00 GMT", "", 0},
		{"soon", "", 0},
	} {
		h := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%q with date %q: %v, not %v", c.value, c.date, got, c.want)
		}
	}
}

const opensslCertsOnly = `MIIBaQYJKoZIhvcNAQcCoIIBWjCCAVYCAQExADALBgkqhkiG9w0BBwGgggE+MIIBOjCB7aADAgECAhQnLtXsMkGrP9aBzMVahqGGopvpBjAFBgMrZXAwEjEQMA4GA1UEAwwHU1QtMDAwMTAgFw0yNjExMjIwMjU1NTVaGA8yMTI2MTAyOTAyNTU1NVowEjEQMA4GA1UEAwwHU1QtMDAwMTAqMAUGAytlcAMhAMGCA6ByihLn1pfl4yOW1M6TMK8RlgrnXHOV/w9Zgv2Jo1MwUTAdBgNVHQ4EFgQUQQCrZH1+pbwatqxKAj+ZGoNGopQwHwYDVR0jBBgwFoAUQQCrZH1+pbwatqxKAj+ZGoNGopQwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXADQQCer0Y5eq2SJq+cZC4Fot32ITXanOtDqZFfuIsPrEufw1ugbFgYzPDBSskDrlwBKCduWfXSL1nlJMfQ/D5/hQoFMQA=`
