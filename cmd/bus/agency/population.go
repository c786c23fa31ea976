// Package agency is the synthetic agencies behind the reference bus: a handful
// of persons, their employment contracts, and a register of mobile devices.
// They answer look-ups and decide on requests; services are named here and
// nowhere else in the code.
//
// Nobody here exists. Every kiosk test and virtual card uses these persons.
// Start at Population and New.
package agency

import (
	"fmt"
	"log/slog"
	"time"
)

// A Person is synthetic. Names are as on the card: upper case, with the
// letters of the Azerbaijani alphabet.
type Person struct {
	FIN            string // 7 characters, without I and O
	Surname        string
	GivenNames     string
	Patronymic     string
	BirthDate      time.Time // midnight UTC
	Sex            string    // "F" or "M"
	DocumentNumber string
	Expires        time.Time // of the card; midnight UTC
	CAN            string    // 6 digits
	Employer       string    // empty without a contract
	Position       string
	Since          time.Time // of the contract; midnight UTC
	Sheet          *Sheet    // that the person signs for the employer; nil for who doesn't
}

// A Sheet is a calculation sheet of the fund for the benefit of an employee who
// looks after a child: due from an employer, or registered already.
type Sheet struct {
	InsurerNo  string // 7 digits: the employer's account at the fund
	Employee   string // surname, given name, patronymic
	Child      string
	Born       time.Time // midnight UTC
	Amount     int       // whole manats a month
	Registered bool
}

// Format writes the word "person" for every verb.
func (Person) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("person")) }

// String is the word "person".
func (Person) String() string { return "person" }

// LogValue is the word "person".
func (Person) LogValue() slog.Value { return slog.StringValue("person") }

// MarshalJSON is the word "person".
func (Person) MarshalJSON() ([]byte, error) { return []byte(`"person"`), nil }

// HasContract says whether the employment register knows a contract.
func (p Person) HasContract() bool { return p.Employer != "" }

func day(year int, month time.Month, d int) time.Time {
	return time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
}

// Population is everybody, the main test person first. The first two sign sheets
// for their employers, the second has sent it; the third one is without a
// contract, the last one's card has expired.
func Population() []Person {
	return []Person{
		{
			FIN: "5ARPXK2", Surname: "MƏMMƏDOVA", GivenNames: "AYGÜN", Patronymic: "RƏŞİD QIZI",
			BirthDate: day(1990, time.May, 12), Sex: "F", DocumentNumber: "AA1234567",
			Expires: day(2033, time.March, 1), CAN: "123456",
			Employer: "“Xəzər Gəmiçilik” ASC", Position: "mühasib", Since: day(2019, time.September, 2),
			Sheet: &Sheet{
				InsurerNo: "1402557", Employee: "Səlimova Nərgiz Fərhad qızı", Child: "Səlimov Tural Rüfət oğlu",
				Born: day(2025, time.September, 14), Amount: 30,
			},
		},
		{
			FIN: "1QK8M3T", Surname: "ƏLİYEV", GivenNames: "İLQAR", Patronymic: "VAQİF OĞLU",
			BirthDate: day(1978, time.November, 30), Sex: "M", DocumentNumber: "AA2345678",
			Expires: day(2031, time.July, 14), CAN: "234567",
			Employer: "“Abşeron Körpü Tikinti” MMC", Position: "baş mühəndis", Since: day(2011, time.February, 21),
			Sheet: &Sheet{
				InsurerNo: "2918340", Employee: "Kərimova Aynur Elçin qızı", Child: "Kərimli Nihad Orxan oğlu",
				Born: day(2024, time.December, 2), Amount: 15, Registered: true,
			},
		},
		{
			FIN: "7HZ2W9C", Surname: "QULİYEVA", GivenNames: "ŞƏLALƏ", Patronymic: "TOĞRUL QIZI",
			BirthDate: day(2004, time.January, 8), Sex: "F", DocumentNumber: "AA3456789",
			Expires: day(2034, time.April, 22), CAN: "345678",
		},
		{
			FIN: "3VD6N5B", Surname: "HÜSEYNOV", GivenNames: "ÇİNGİZ", Patronymic: "ƏLÖVSƏT OĞLU",
			BirthDate: day(1959, time.August, 17), Sex: "M", DocumentNumber: "AA4567890",
			Expires: day(2030, time.December, 5), CAN: "456789",
			Employer: "“Göygöl Üzümçülük” ASC", Position: "aqronom", Since: day(1998, time.March, 10),
		},
		{
			FIN: "9LT4R7F", Surname: "CƏFƏRLİ", GivenNames: "GÜLÇÖHRƏ", Patronymic: "İBADULLA QIZI",
			BirthDate: day(1985, time.June, 3), Sex: "F", DocumentNumber: "AA5678901",
			Expires: day(2029, time.October, 19), CAN: "567890",
			Employer: "Şəki şəhər 2 nömrəli tam orta məktəb", Position: "riyaziyyat müəllimi", Since: day(2008, time.September, 15),
		},
		{
			FIN: "2XB1Y8G", Surname: "İSMAYILZADƏ", GivenNames: "UĞUR", Patronymic: "ELDAR OĞLU",
			BirthDate: day(1996, time.February, 29), Sex: "M", DocumentNumber: "AA6789012",
			Expires: day(2032, time.May, 27), CAN: "678901",
			Employer: "“Günəş Şüası” Fərdi Yardım Mərkəzi", Position: "sosial işçi", Since: day(2022, time.January, 17),
		},
		{
			FIN: "6CJ3S4P", Surname: "NƏSİBOVA", GivenNames: "XƏDİCƏ", Patronymic: "ZÜLFÜQAR QIZI",
			BirthDate: day(1948, time.April, 1), Sex: "F", DocumentNumber: "AA7890123",
			Expires: day(2024, time.April, 1), CAN: "789012",
			Employer: "Gəncə Dövlət Kitabxanası", Position: "kitabxanaçı", Since: day(1971, time.November, 4),
		},
	}
}

// A Device is a mobile device in the register.
type Device struct {
	IMEI   string // 15 digits, the last by Luhn
	Status string // "registered", "not_registered", "blocked"
	Model  string // may be empty
}

// The states of a device.
const (
	Registered    = "registered"
	NotRegistered = "not_registered"
	Blocked       = "blocked"
)

// Devices are those that the register knows. Any other is not registered.
func Devices() []Device {
	return []Device{
		{IMEI: "352099001761481", Status: Registered, Model: "Nokia 3310"},
		{IMEI: "490154203237518", Status: Registered, Model: "Samsung Galaxy A15"},
		{IMEI: "356938035643809", Status: Registered},
		{IMEI: "353918057352102", Status: NotRegistered, Model: "Xiaomi Redmi 12"},
		{IMEI: "867530912345673", Status: NotRegistered},
		{IMEI: "357805023984942", Status: Blocked, Model: "Apple iPhone 11"},
		{IMEI: "012345678901237", Status: Blocked},
	}
}

// ValidIMEI says whether s has 15 digits of which the last is right by Luhn's
// rule. 3GPP TS 23.003, annex B.
func ValidIMEI(s string) bool {
	if len(s) != 15 {
		return false
	}
	sum := 0
	for i, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
		n := int(c - '0')
		if i%2 == 1 {
			n = n*2/10 + n*2%10
		}
		sum += n
	}
	return sum%10 == 0
}
