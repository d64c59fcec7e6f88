package settings_test

import (
	"fmt"

	"github.com/valetkey/valetkey/pkg/settings"
)

func ExampleSettings_Lookup() {
	s := settings.New(settings.Input{
		Env:   map[string]string{"VAST_VIP": "vms.example.com", "VAST_PASSWORD": "correct horse"},
		Flags: map[string]string{"timeout": "1m"},
	})
	for _, name := range []string{"vms.address", "vms.password", "timeout", "s3.region"} {
		v, err := s.Lookup(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s = %s (%s)\n", v.Name, v, v.Source)
	}
	// Output:
	// vms.address = vms.example.com (env VAST_VIP)
	// vms.password = [redacted] (env VAST_PASSWORD)
	// timeout = 1m (flag --timeout)
	// s3.region = us-east-1 (default)
}

func ExampleParseDuration() {
	d, err := settings.ParseDuration("1w2d")
	fmt.Println(d, err)
	_, err = settings.ParseDuration("60")
	fmt.Println(err)
	// Output:
	// 216h0m0s <nil>
	// "60" is a bare number; it needs a unit: s, m, h, d or w
}
