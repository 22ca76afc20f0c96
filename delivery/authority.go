package delivery

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Bounds of asking an authority about a certificate.
const (
	placesAsked   = 3        // of each kind
	readOCSPMost  = 64 << 10 // bytes
	readListMost  = 8 << 20  // bytes
	listsTogether = 2        // in memory
	// askPatience is how long one place is given; less when the attempt has less than twice that left, so that it is known why it failed.
	askPatience = 5 * time.Second
	// undatedKept is how old an answer may be that does not say until when it is good.
	undatedKept = 24 * time.Hour
)

// consult asks the places that a certificate names, one after the other, until one gives an answer that its issuer stands for.
func (r *revocations) consult(ctx context.Context, cert, issuer *x509.Certificate) (standing, error) {
	failure := &revocationError{}
	var why []string
	try := func(place string, ask func(place *url.URL) (standing, error)) (standing, bool) {
		where, err := r.place(place)
		if err == nil {
			said, err := ask(where)
			if err == nil {
				return said, true
			}
			if Classify(0, err) == Infrastructure {
				failure.ours = err
			}
			why = append(why, where.Host+": "+plainReason(err))
			return standing{}, false
		}
		why = append(why, err.Error())
		return standing{}, false
	}
	for _, place := range cert.OCSPServer[:min(len(cert.OCSPServer), placesAsked)] {
		if said, ok := try(place, func(where *url.URL) (standing, error) { return r.askOCSP(ctx, where, cert, issuer) }); ok {
			return said, nil
		}
	}
	for _, place := range cert.CRLDistributionPoints[:min(len(cert.CRLDistributionPoints), placesAsked)] {
		if said, ok := try(place, func(where *url.URL) (standing, error) { return r.readList(ctx, where, cert, issuer) }); ok {
			return said, nil
		}
	}
	if why == nil {
		why = []string{"it names no place to ask"}
	}
	failure.text = fmt.Sprintf("the certificate of %s could not be checked for revocation: %s", nameOf(cert), strings.Join(why, "; "))
	return standing{}, failure
}

// place judges a place to ask by the rules for receivers, with plain http, which is what authorities speak: the answers are signed, and
// one that needed a certificate of its own could not be asked about that.
func (r *revocations) place(text string) (*url.URL, error) {
	where, err := r.places.CheckURL(text)
	if err != nil || where.Scheme != "http" {
		return nil, errors.New("it names a place that is not asked: it must be http to a full name on port 80 or from 1024 up")
	}
	return where, nil
}

// plainReason is a failure in words that tell nothing of addresses.
func plainReason(err error) string {
	var said *authorityError
	switch {
	case errors.As(err, &said):
		return said.text
	case Classify(0, err) == Infrastructure:
		return trouble(err)
	case Classify(0, err) == TimedOut:
		return "no answer in time"
	}
	return reason(0, err)
}

// authorityError says what was wrong with an authority's answer.
type authorityError struct{ text string }

func (e *authorityError) Error() string { return e.text }

func badAnswer(format string, args ...any) error {
	return &authorityError{fmt.Sprintf(format, args...)}
}

func (r *revocations) askOCSP(ctx context.Context, where *url.URL, cert, issuer *x509.Certificate) (standing, error) {
	question, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return standing{}, badAnswer("the question cannot be put: %v", err)
	}
	answer, err := r.fetch(ctx, where, question, readOCSPMost)
	if err != nil {
		return standing{}, err
	}
	return readOCSP(answer, cert, issuer, r.now())
}

// readOCSP reads what an answer by OCSP (RFC 6960), signed by the issuer or by one whom the issuer has appointed for that, says of a
// certificate at a time.
func readOCSP(answer []byte, cert, issuer *x509.Certificate, now time.Time) (standing, error) {
	response, err := ocsp.ParseResponseForCert(answer, cert, issuer)
	if err != nil {
		return standing{}, badAnswer("%v", err)
	}
	// The parser has seen that the issuer signed the signer's certificate. So it has the certificate that is asked about.
	if by := response.Certificate; by != nil && !bytes.Equal(by.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
		if !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || now.Before(by.NotBefore) || now.After(by.NotAfter) {
			return standing{}, badAnswer("the answer is signed by one who was not appointed to it")
		}
	}
	until := response.NextUpdate
	if until.IsZero() { // newer answers are to be had at any time: this one serves for this connection
		until = now
		if now.Sub(response.ThisUpdate) > undatedKept {
			return standing{}, badAnswer("the answer is too old")
		}
	}
	switch {
	case now.After(until):
		return standing{}, badAnswer("the answer was good until %s", until.UTC().Format(time.RFC3339))
	case response.ThisUpdate.After(now.Add(clockSkew)):
		return standing{}, badAnswer("the answer is good from %s only", response.ThisUpdate.UTC().Format(time.RFC3339))
	case response.Status == ocsp.Good:
		return standing{until: until}, nil
	case response.Status == ocsp.Revoked:
		return standing{revoked: true, until: until}, nil
	}
	return standing{}, badAnswer("the authority does not know the certificate")
}

func (r *revocations) readList(ctx context.Context, where *url.URL, cert, issuer *x509.Certificate) (standing, error) {
	select {
	case r.lists <- struct{}{}:
		defer func() { <-r.lists }()
	case <-ctx.Done():
		return standing{}, context.Cause(ctx)
	}
	list, err := r.fetch(ctx, where, nil, readListMost)
	if err != nil {
		return standing{}, err
	}
	return readRevocationList(list, cert, issuer, r.now())
}

// The extensions of a list that it may have (RFC 5280, section 5.2). Any other that is critical, a delta's for one, changes its meaning.
var (
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey      = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidListNumber        = asn1.ObjectIdentifier{2, 5, 29, 20}
)

// distributionPoint is IssuingDistributionPoint of RFC 5280, section 5.2.5: which certificates a list is about.
type distributionPoint struct {
	Name struct {
		Full []asn1.RawValue `asn1:"optional,tag:0"` // GeneralNames
	} `asn1:"optional,tag:0"`
	OnlyUsers       bool           `asn1:"optional,tag:1"`
	OnlyAuthorities bool           `asn1:"optional,tag:2"`
	OnlyReasons     asn1.BitString `asn1:"optional,tag:3"`
	Indirect        bool           `asn1:"optional,tag:4"`
	OnlyAttributes  bool           `asn1:"optional,tag:5"`
}

// readRevocationList reads what a list of revoked certificates (RFC 5280, section 5), signed by the issuer, says of a certificate at a time.
func readRevocationList(der []byte, cert, issuer *x509.Certificate, now time.Time) (standing, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return standing{}, badAnswer("%v", err)
	}
	if !bytes.Equal(list.RawIssuer, cert.RawIssuer) {
		return standing{}, badAnswer("the list is another authority's")
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return standing{}, badAnswer("the list's signature: %v", err)
	}
	for _, extension := range list.Extensions {
		switch {
		case extension.Id.Equal(oidDistributionPoint):
			if err := concerns(extension.Value, cert); err != nil {
				return standing{}, err
			}
		case extension.Critical && !extension.Id.Equal(oidAuthorityKey) && !extension.Id.Equal(oidListNumber):
			return standing{}, badAnswer("the list is of a kind that is not known")
		}
	}
	switch {
	case list.NextUpdate.IsZero():
		return standing{}, badAnswer("the list does not say until when it is good")
	case now.After(list.NextUpdate):
		return standing{}, badAnswer("the list was good until %s", list.NextUpdate.UTC().Format(time.RFC3339))
	case list.ThisUpdate.After(now.Add(clockSkew)):
		return standing{}, badAnswer("the list is good from %s only", list.ThisUpdate.UTC().Format(time.RFC3339))
	}
	revoked := slices.ContainsFunc(list.RevokedCertificateEntries, func(entry x509.RevocationListEntry) bool {
		return entry.SerialNumber.Cmp(cert.SerialNumber) == 0
	})
	return standing{revoked: revoked, until: list.NextUpdate}, nil
}

// concerns sees to it that a list which is not about all of its issuer's certificates is about this one. An authority with many
// certificates has many lists, all signed alike, and whoever stands between us and it could hand us a wrong one.
func concerns(extension []byte, cert *x509.Certificate) error {
	var point distributionPoint
	if rest, err := asn1.Unmarshal(extension, &point); err != nil || len(rest) > 0 {
		return badAnswer("the list does not say in a known form what it is about")
	}
	if point.Indirect || point.OnlyAttributes || point.OnlyReasons.BitLength > 0 || point.OnlyUsers && cert.IsCA || point.OnlyAuthorities && !cert.IsCA {
		return badAnswer("the list is not about this certificate")
	}
	const uri = 6 // of GeneralName's choices
	names := point.Name.Full
	if len(names) == 0 || slices.ContainsFunc(names, func(name asn1.RawValue) bool {
		return name.Class == asn1.ClassContextSpecific && name.Tag == uri && slices.Contains(cert.CRLDistributionPoints, string(name.Bytes))
	}) {
		return nil
	}
	return badAnswer("the list is not about this certificate")
}

// fetch asks a place: with a question by POST, without one by GET. The answer has at most so many bytes.
func (r *revocations) fetch(ctx context.Context, where *url.URL, question []byte, most int64) ([]byte, error) {
	patience := askPatience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/2)
	}
	progress := &steps{began: time.Now(), deadline: time.Now().Add(patience)}
	ctx, cancel := context.WithDeadline(context.WithValue(ctx, stepsKey{}, progress), progress.deadline)
	defer cancel()
	method := http.MethodGet
	if question != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, where.String(), bytes.NewReader(question))
	if err != nil {
		return nil, badAnswer("the place cannot be asked")
	}
	if question != nil {
		request.Header.Set("Content-Type", "application/ocsp-request")
	}
	response, err := r.way.RoundTrip(request)
	if err != nil {
		return nil, progress.explain(err, where.Hostname())
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, badAnswer("%s", statusLine(response.StatusCode))
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(answer)) > most:
		return nil, badAnswer("the answer has more than %d KiB", most>>10)
	}
	return answer, nil
}
