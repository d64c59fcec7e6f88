package vms

import "time"

// WithoutPauses makes repetitions follow at once.
func (c *Client) WithoutPauses() *Client {
	c.pause = func(int) time.Duration { return 0 }
	return c
}

// ParseKeyList is the pure half of OwnKeys, for fuzzing.
func ParseKeyList(body []byte) ([]Key, error) {
	page, err := parseKeyList(body)
	return page.keys, err
}
