package sigv4

// MAC is our HMAC, to be compared with that of the standard library.
var MAC = mac
