package settings

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// ParseDuration parses a duration as Go writes it, with d (24 hours) and w (7
// days) as further units: 90s, 1h30m, 2d, 1w2d12h. A bare number is refused,
// since nobody could say whether it means seconds, and so is what does not fit
// (about 292 years).
func ParseDuration(text string) (time.Duration, error) {
	rest := text
	sign := time.Duration(1)
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		if rest[0] == '-' {
			sign = -1
		}
		rest = rest[1:]
	}
	if rest != "" && strings.Trim(rest, "0123456789.") == "" {
		return 0, fmt.Errorf("%s is a bare number; it needs a unit: s, m, h, d or w", quote(text))
	}
	var sum time.Duration
	for first := true; first || rest != ""; first = false {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		end := digits
		for end < len(rest) && rest[end] != '.' && (rest[end] < '0' || rest[end] > '9') {
			end++
		}
		part, err := parsePart(rest[:digits], rest[digits:end])
		if err != nil {
			return 0, fmt.Errorf("%s %w", quote(text), err)
		}
		if sum > math.MaxInt64-part {
			return 0, fmt.Errorf("%s %w", quote(text), errTooLong)
		}
		sum += part
		rest = rest[end:]
	}
	return sign * sum, nil
}

var (
	errNoDuration = errors.New("is not a duration such as 90s, 1h30m, 2d or 1w")
	errTooLong    = errors.New("is too long a duration")
)

// parsePart parses one number without a sign and its unit.
func parsePart(number, unit string) (time.Duration, error) {
	times := time.Duration(1)
	switch unit {
	case "d":
		times, unit = 24, "h"
	case "w":
		times, unit = 7*24, "h"
	}
	if number == "" || unit == "" {
		return 0, errNoDuration
	}
	part, err := time.ParseDuration(number + unit)
	if err != nil {
		return 0, errNoDuration
	}
	if part > math.MaxInt64/times {
		return 0, errTooLong
	}
	return part * times, nil
}
