package terminal

import "golang.org/x/sys/windows"

func echoOff(fd int) error {
	var mode uint32
	if err := windows.GetConsoleMode(windows.Handle(fd), &mode); err != nil {
		return err
	}
	return windows.SetConsoleMode(windows.Handle(fd), mode&^windows.ENABLE_ECHO_INPUT)
}

// maxLine is beyond what is read: a console passes on lines of any length.
const maxLine = maxAnswer
