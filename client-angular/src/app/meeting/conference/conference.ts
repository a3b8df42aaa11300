import { Component } from '@angular/core';
@Component({ selector: 'ht-conference', template: '' })
export class Conference {}
