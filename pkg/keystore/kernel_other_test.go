//go:build !linux

package keystore

import "testing"

func kernelKind(*testing.T) map[string]kind { return nil }

func kernelOf(string) Store { return NewKernel() }

func TestThereIsAKernelKeyringOnLinuxAlone(t *testing.T) {
	s := NewKernel()
	if _, err := s.Get(t.Context(), "i"); ReasonOf(err) != Absent {
		t.Errorf("get: %v", err)
	}
	if err := s.Put(t.Context(), "i", []byte("v")); ReasonOf(err) != Absent {
		t.Errorf("put: %v", err)
	}
	if err := s.Delete(t.Context(), "i"); ReasonOf(err) != Absent {
		t.Errorf("delete: %v", err)
	}
}
