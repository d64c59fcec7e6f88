package doctor

import (
	"crypto/x509"
	"time"
)

// Limits of what is said about clocks and certificates.
const (
	clockWarning = 30 * time.Second
	clockError   = 5 * time.Minute
	endsSoon     = 30 * 24 * time.Hour
)

// Skew is how far the clock of a server is ahead of ours, or behind when it is
// negative. The date is that of an answer's Date header: whole seconds, rounded
// down, at some moment between sent and received by our clock. What rounding and
// the way of the answer can explain is no skew.
func Skew(date, sent, received time.Time) time.Duration {
	switch latest := date.Add(time.Second); {
	case date.After(received):
		return date.Sub(received)
	case latest.Before(sent):
		return latest.Sub(sent)
	}
	return 0
}

// JudgeSkew says how much a skew matters: nothing up to 30 s; more is a warning,
// since temporary credentials and tokens live for minutes; from 5 minutes on it
// is an error, since servers begin to refuse what is signed.
func JudgeSkew(skew time.Duration) (severity Severity, matters bool) {
	switch skew = skew.Abs(); {
	case skew >= clockError:
		return Error, true
	case skew > clockWarning:
		return Warning, true
	}
	return "", false
}

// Ending returns the certificate of the chains that were verified whose end
// breaks the connection: of the chain that lasts longest the first to end. It
// ends soon when less than 30 days are left and less than a third of its life:
// a certificate that is made to live for a week is renewed by a machine. Without
// chains there is none.
func Ending(chains [][]*x509.Certificate, now time.Time) (first *x509.Certificate, soon bool) {
	for _, chain := range chains {
		var ends *x509.Certificate
		for _, c := range chain {
			if ends == nil || c.NotAfter.Before(ends.NotAfter) {
				ends = c
			}
		}
		if ends != nil && (first == nil || ends.NotAfter.After(first.NotAfter)) {
			first = ends
		}
	}
	if first == nil {
		return nil, false
	}
	left := first.NotAfter.Sub(now)
	return first, left < endsSoon && left < first.NotAfter.Sub(first.NotBefore)/3
}

// Severe counts the findings that are a problem: errors and warnings.
func Severe(findings []Finding) (errs, warnings int) {
	for _, f := range findings {
		switch f.Severity {
		case Error:
			errs++
		case Warning:
			warnings++
		case Info:
		}
	}
	return errs, warnings
}
