package s3test

import (
	"encoding/xml"
	"net/http"
)

// apiError is an error as S3 answers it: a status, a code and a message in XML.
type apiError struct {
	status  int
	code    string
	message string
	extra   []element // further members of the Error element, in order
}

type element struct{ name, value string }

func (e *apiError) Error() string { return e.code + ": " + e.message }

// with returns a copy with one more member.
func (e *apiError) with(name, value string) *apiError {
	c := *e
	c.extra = append(append([]element(nil), e.extra...), element{name, value})
	return &c
}

// saying returns a copy with another message.
func (e *apiError) saying(message string) *apiError {
	c := *e
	c.message = message
	return &c
}

func apiErr(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

var (
	errAccessDenied       = apiErr(http.StatusForbidden, "AccessDenied", "Access Denied")
	errUnsignedHeaders    = apiErr(http.StatusForbidden, "AccessDenied", "There were headers present in the request which were not signed")
	errInvalidAccessKeyID = apiErr(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	errSignatureMismatch  = apiErr(http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	errTimeTooSkewed      = apiErr(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	errInvalidToken       = apiErr(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	errAuthHeader         = apiErr(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header you provided is invalid.")
	errAuthQuery          = apiErr(http.StatusBadRequest, "AuthorizationQueryParametersError", "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
	errInvalidArgument    = apiErr(http.StatusBadRequest, "InvalidArgument", "Invalid Argument")
	errInvalidRequest     = apiErr(http.StatusBadRequest, "InvalidRequest", "Invalid Request")
	errInvalidURI         = apiErr(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	errInvalidBucketName  = apiErr(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	errInvalidDigest      = apiErr(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid.")
	errBadDigest          = apiErr(http.StatusBadRequest, "BadDigest", "The checksum you specified did not match what we received.")
	errSHA256Mismatch     = apiErr(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
	errIncompleteBody     = apiErr(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly")
	errMalformedTrailer   = apiErr(http.StatusBadRequest, "MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
	errMalformedXML       = apiErr(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
	errMetadataTooLarge   = apiErr(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	errEntityTooLarge     = apiErr(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	errEntityTooSmall     = apiErr(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
	errKeyTooLong         = apiErr(http.StatusBadRequest, "KeyTooLongError", "Your key is too long")
	errInvalidPart        = apiErr(http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.")
	errInvalidPartOrder   = apiErr(http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number.")
	errNoSuchBucket       = apiErr(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	errNoSuchKey          = apiErr(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	errNoSuchUpload       = apiErr(http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	errNoSuchVersion      = apiErr(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
	errMethodNotAllowed   = apiErr(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	errBucketExists       = apiErr(http.StatusConflict, "BucketAlreadyExists", "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Select a different name and try again.")
	errBucketOwned        = apiErr(http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
	errBucketNotEmpty     = apiErr(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	errMissingLength      = apiErr(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	errPrecondition       = apiErr(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	errInvalidRange       = apiErr(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	errNotModified        = apiErr(http.StatusNotModified, "NotModified", "Not Modified")
	errNotImplemented     = apiErr(http.StatusNotImplemented, "NotImplemented", "A header or parameter you provided implies functionality that is not implemented")
	errFull               = apiErr(http.StatusInsufficientStorage, "InsufficientCapacity", "The sandbox holds as many bytes as it may; delete something first.")
	errInternal           = apiErr(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	errUnsupportedAuth    = errInvalidRequest.saying("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	errTwoAuths           = errInvalidArgument.saying("Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	errMissingSHA256      = errInvalidRequest.saying("Missing required header for this request: x-amz-content-sha256")
	errRequestExpired     = errAccessDenied.saying("Request has expired")
	errRequestNotYetValid = errAccessDenied.saying("Request is not yet valid")
)

// MarshalXML writes the members S3 writes, those of extra after Message.
func (e *apiError) MarshalXML(enc *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{Name: xml.Name{Local: "Error"}}
	if err := enc.EncodeToken(start); err != nil {
		return err
	}
	for _, m := range append([]element{{"Code", e.code}, {"Message", e.message}}, e.extra...) {
		if err := enc.EncodeElement(m.value, xml.StartElement{Name: xml.Name{Local: m.name}}); err != nil {
			return err
		}
	}
	return enc.EncodeToken(start.End())
}
