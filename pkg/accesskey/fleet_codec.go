package accesskey

import (
	"bytes"
	"encoding/json"

	"github.com/valetkey/valetkey/pkg/failure"
)

// fleetVersion is the version of the shared document that this release writes
// and the newest that it reads. Like the item's, version 1 is closed: machines
// of different releases write the same document, and an older one must not lose
// what a newer one wrote. The item and the entries in it have versions of their own.
const fleetVersion = 1

type wireFleet struct {
	Version int               `json:"version"`
	Stamp   string            `json:"stamp"`
	Item    json.RawMessage   `json:"item"`
	Journal []json.RawMessage `json:"journal"`
}

// Encode returns the stored form of the document, a JSON object.
func (d FleetDoc) Encode() ([]byte, error) {
	item, err := d.Item.Encode()
	if err != nil {
		return nil, err
	}
	w := wireFleet{Version: fleetVersion, Stamp: d.Stamp, Item: item, Journal: make([]json.RawMessage, 0, len(d.Journal))}
	for _, e := range d.Journal {
		raw, err := e.Encode()
		if err != nil {
			return nil, err
		}
		w.Journal = append(w.Journal, raw)
	}
	return encodeJSON(w)
}

// DecodeFleetDoc reads a shared document and checks that it belongs to the
// identity. No bytes are an empty document. One that is damaged, foreign or
// written by a newer valetkey is failure.Store, naming the document and never
// showing its content.
func DecodeFleetDoc(id Identity, raw []byte) (FleetDoc, error) {
	if len(raw) == 0 {
		return FleetDoc{Item: Item{Identity: id}}, nil
	}
	var w wireFleet
	if err := decodeVersioned(raw, fleetVersion, &w); err != nil {
		return FleetDoc{}, failure.Annotate(err, "shared document %q", id.Item())
	}
	if len(w.Item) == 0 || bytes.Equal(w.Item, []byte("null")) || w.Stamp == "" {
		return FleetDoc{}, failure.Annotate(damaged("it is incomplete"), "shared document %q", id.Item())
	}
	d := FleetDoc{Stamp: w.Stamp}
	var err error
	if d.Item, err = DecodeItem(id, w.Item); err != nil {
		return FleetDoc{}, failure.Annotate(err, "shared document %q", id.Item())
	}
	if n := len(d.Item.Keys) - len(d.Item.Live()); n > 1 {
		return FleetDoc{}, failure.Annotate(damaged("two machines hold a claim"), "shared document %q", id.Item())
	}
	for i, raw := range w.Journal {
		e, err := DecodeEntry(raw)
		if err == nil && e.Identity != id {
			err = damaged("it belongs to another identity")
		}
		if err != nil {
			return FleetDoc{}, failure.Annotate(err, "shared document %q, journal entry %d", id.Item(), i+1)
		}
		if !e.Closed {
			d.Journal = append(d.Journal, e)
		}
	}
	return d, nil
}
