package specs

import (
	"encoding/json"
	"reflect"
)

// What package json has to find out about a type it finds out anew in each twin. So messages are encoded field by field,
// and the types of fields that are not set are not looked into: most messages are small, and reports are not.

func (o order) MarshalJSON() ([]byte, error)   { return encodeFields(reflect.ValueOf(o)) }
func (e event) MarshalJSON() ([]byte, error)   { return encodeFields(reflect.ValueOf(e)) }
func (r result) MarshalJSON() ([]byte, error)  { return encodeFields(reflect.ValueOf(r)) }
func (o *order) UnmarshalJSON(b []byte) error  { return decodeFields(b, reflect.ValueOf(o).Elem()) }
func (e *event) UnmarshalJSON(b []byte) error  { return decodeFields(b, reflect.ValueOf(e).Elem()) }
func (r *result) UnmarshalJSON(b []byte) error { return decodeFields(b, reflect.ValueOf(r).Elem()) }

// encodeFields is the JSON object of those fields of a struct that are not zero.
func encodeFields(v reflect.Value) ([]byte, error) {
	b := []byte{'{'}
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			continue
		}
		value, err := json.Marshal(v.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, v.Type().Field(i).Name...)
		b = append(b, '"', ':')
		b = append(b, value...)
	}
	return append(b, '}'), nil
}

func decodeFields(b []byte, v reflect.Value) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	for name, value := range fields {
		if f := v.FieldByName(name); f.IsValid() {
			if err := json.Unmarshal(value, f.Addr().Interface()); err != nil {
				return err
			}
		}
	}
	return nil
}
