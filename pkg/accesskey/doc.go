// Package accesskey is what can be done with the S3 access keys of one person:
// issue one exactly once however many processes ask, hand it out, list, show
// and delete; rotate it without a gap; and reap what a crash left behind, on proof.
//
// VAST allows two keys a user and tells the secret of a key once. So a store is
// proven before a key is asked for, and what could leave a key behind that
// nobody knows is written into a journal first. The stored [Item] and the
// journal [Entry] are formats that other releases read: both carry a version,
// and a newer one is refused, not misread.
//
// Machines that share one key do so through one [Document], changed by
// check-and-set, which is store, lock and journal in one; see [Fleet]. Its
// format, [FleetDoc], has a version, too.
//
// Transitions of an item are pure functions; a [Coordinator] does the reading,
// locking and writing around them, and [Service] talks to VMS.
package accesskey
